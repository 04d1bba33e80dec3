"""What a program needs, before it is built. Figures from here are of the kind `modelled`."""

from tinyops.cost.memory import Footprint, estimate_memory, refuse_misfit

__all__ = ["Footprint", "estimate_memory", "refuse_misfit"]
