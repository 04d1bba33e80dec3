"""What holds for all tests.

Output does not depend on the terminal that started them. Hypothesis runs the same examples every time;
HYPOTHESIS_PROFILE=quick runs few of them, HYPOTHESIS_PROFILE=deep searches further with fresh ones.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

for _name in ("COLUMNS", "LINES", "FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
    os.environ.pop(_name, None)

_SLOW = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]

settings.register_profile("check", max_examples=250, deadline=None, derandomize=True, suppress_health_check=_SLOW)
settings.register_profile("quick", settings.get_profile("check"), max_examples=10)
settings.register_profile("deep", max_examples=3000, deadline=None, suppress_health_check=_SLOW)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "check"))
