"""A virtual fleet through two campaigns: benchmarks/fleet.py with few devices, which has to find nothing amiss."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.fleet import ROOT
from tinyops.update.simulation.faults import Faults, arguments, draw_fate

pytestmark = pytest.mark.slow


def test_campaigns_with_losses_power_cuts_damage_and_a_killed_server(tmp_path: Path) -> None:
    words = ["--devices", "24", "--check-in", "1", "--infer", "0.1", "--waves", "50,100", "--damage-within", "30"]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.fleet", *words, "--patience", "240", "--json", tmp_path / "result.json"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["simulation"]["power_cuts"] > 0
    assert sum(wave["succeeded"] for wave in result["v2"]["waves"]) > 0


def test_what_happens_to_a_device_is_drawn_from_the_seed() -> None:
    faults = Faults(seed=3, loss=0.02, power_cuts=0.5, damage=0.5)
    fates = [draw_fate(faults, index, operations=1000, seconds=10) for index in range(200)]
    assert fates == [draw_fate(faults, index, operations=1000, seconds=10) for index in range(200)]
    assert fates != [
        draw_fate(Faults(4, power_cuts=0.5, damage=0.5), i, operations=1000, seconds=10) for i in range(200)
    ]
    assert len({fate.identifier for fate in fates}) == 200
    cut = [fate for fate in fates if fate.cuts]
    assert 70 < len(cut) < 130
    assert {len(fate.cuts) for fate in cut} == {1, 2}
    assert all(1 <= fate.cuts[0] <= 1000 for fate in cut)
    damaged = [fate for fate in fates if fate.damaged_after is not None]
    assert 70 < len(damaged) < 130
    assert all(0 <= position < 1 and 0 <= bit < 8 for fate in damaged for position, bit in fate.damage)
    first = arguments(faults, cut[0], starts=0, cuts=0)
    assert first[first.index("--cut") + 1] == str(cut[0].cuts[0])
    assert "--cut" not in arguments(faults, cut[0], starts=9, cuts=len(cut[0].cuts))
    assert first[first.index("--loss") + 1] == "20000"
