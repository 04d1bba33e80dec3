"""Graph -> Program: kernel choice, packed constants, requantization, tables, addresses."""

from tinyops.lower.lowering import lower, rule
from tinyops.lower.program import Program, Role

__all__ = ["Program", "Role", "lower", "rule"]
