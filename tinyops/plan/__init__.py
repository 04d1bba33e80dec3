"""Memory planning: storage sharing, order, offsets, bounds, and an independent check of the result."""

from tinyops.plan.check import verify_plan
from tinyops.plan.liveness import Demand, default_demands
from tinyops.plan.plan import Plan
from tinyops.plan.planner import plan
from tinyops.plan.storage import READ_STATE, WRITE_STATE, Place, Storage, dependencies, resolve_storage

__all__ = [
    "READ_STATE",
    "WRITE_STATE",
    "Demand",
    "Place",
    "Plan",
    "Storage",
    "default_demands",
    "dependencies",
    "plan",
    "resolve_storage",
    "verify_plan",
]
