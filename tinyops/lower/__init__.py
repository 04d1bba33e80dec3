"""Graph -> Program: kernel choice, packed constants, requantization, tables, addresses."""

from tinyops.lower.lowering import Optimize, lower, rule
from tinyops.lower.program import Program, Role

__all__ = ["Optimize", "Program", "Role", "lower", "rule"]
