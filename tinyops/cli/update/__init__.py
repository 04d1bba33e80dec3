"""tinyops update: one module per subcommand."""

from __future__ import annotations

from tinyops.cli.lazy import LazyGroup

command = LazyGroup(
    name="update",
    short_help="Pack, inspect, send and roll out signed updates.",
    help="Signed updates: make them, look into them, send them to a device or a fleet.",
    package=__name__,
    verbs={
        "pack": "Make a signed update of a model or a firmware image.",
        "inspect": "Say in words what a manifest, capsule, delta or packed update holds, and verify it.",
        "push": "Send an update to one device, and wait for what became of it.",
        "status": "What runs on a device, and what became of its last update.",
        "oscore": "Make a security context that protects requests to one device.",
        "publish": "Put a packed update on the fleet's server.",
        "published": "List the published updates.",
        "withdraw": "Take a published update back.",
        "rollout": "Take an update to a fleet, in waves, with gates.",
    },
)
