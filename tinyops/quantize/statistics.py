"""Intervals and tests of proportions: what a count on held-out samples says, and what it does not."""

from __future__ import annotations

import math

__all__ = ["Interval", "mcnemar", "paired_difference", "wilson"]

Interval = tuple[float, float]
#: Of the standard normal distribution, for 95 %.
Z = 1.959963984540054


def wilson(successes: int, trials: int) -> Interval:
    """95 % score interval of a proportion (Wilson 1927)."""
    if not trials:
        return 0.0, 1.0
    p, z2 = successes / trials, Z * Z
    centre = (p + z2 / (2 * trials)) / (1 + z2 / trials)
    half = Z / (1 + z2 / trials) * math.sqrt(p * (1 - p) / trials + z2 / (4 * trials * trials))
    return (0.0 if not successes else max(0.0, centre - half)), (
        1.0 if successes == trials else min(1.0, centre + half)
    )


def mcnemar(first_only: int, second_only: int) -> float:
    """Two-sided p of the exact test of McNemar: are the samples that only one gets right even between both?"""
    trials, fewer = first_only + second_only, min(first_only, second_only)
    if first_only == second_only:
        return 1.0
    logs = [math.lgamma(trials + 1) - math.lgamma(k + 1) - math.lgamma(trials - k + 1) for k in range(fewer + 1)]
    return min(1.0, 2 * math.fsum(math.exp(log - trials * math.log(2)) for log in logs))


def paired_difference(both: int, first_only: int, second_only: int, neither: int) -> Interval:
    """95 % interval of (second - first) for proportions of the same samples (Newcombe 1998, method 10)."""
    n = both + first_only + second_only + neither
    first, second = both + first_only, both + second_only
    p1, p2 = first / n, second / n
    (low1, high1), (low2, high2) = wilson(first, n), wilson(second, n)
    product = first * (n - first) * second * (n - second)
    phi = 0.0
    if product:
        numerator = float(both * neither - first_only * second_only)
        numerator = max(numerator - n / 2, 0.0) if numerator > 0 else numerator
        phi = numerator / math.sqrt(product)
    below = _root(p2 - low2, high1 - p1, phi)
    above = _root(high2 - p2, p1 - low1, phi)
    return max(-1.0, p2 - p1 - below), min(1.0, p2 - p1 + above)


def _root(a: float, b: float, phi: float) -> float:
    return math.sqrt(max(a * a - 2 * phi * a * b + b * b, 0.0))
