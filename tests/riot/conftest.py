"""Tests with a RIOT checkout, which the environment variable RIOTBASE names."""

from tests.support.riot_builds import riot_base

__all__ = ["riot_base"]
