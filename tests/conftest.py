"""What holds for all tests: output does not depend on the terminal that started them."""

from __future__ import annotations

import os

for _name in ("COLUMNS", "LINES", "FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
    os.environ.pop(_name, None)
