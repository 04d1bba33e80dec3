"""Lowerings, one file per operator family."""
