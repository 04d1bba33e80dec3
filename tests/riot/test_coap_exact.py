"""Models in gcoap compute what TFLite Micro computes, over a network that loses and repeats frames."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.support.inputs import sequence
from tests.support.netns import Device, Faults, TapNetwork
from tests.support.reference_models import mlperf_models, own_models
from tests.support.riot_builds import settings_for
from tests.support.tflm import ORACLE
from tinyops.device.client import DeviceClient
from tinyops.device.riot.base import RiotBase
from tinyops.device.riot.build import build_riot
from tinyops.device.session import run_sequence
from tinyops.load import load_model
from tinyops.passes import run_passes

pytestmark = [pytest.mark.riot, pytest.mark.slow]

#: One whose inputs fit into a message, and one with inputs of several.
_MODELS = [path for path in [*own_models(), *mlperf_models()] if path.stem in ("digits", "ic_int8", "vww_int8")]
_FAULTS = Faults(loss=0.03, duplicate=0.03, delayed=0.03)


@pytest.mark.parametrize("path", _MODELS, ids=lambda path: path.stem)
def test_model_over_a_lossy_network(riot_base: RiotBase, path: Path, tmp_path: Path) -> None:
    model = run_passes(load_model(path))
    rows = sequence(model, path, 3)
    settings = settings_for(riot_base, "native64", "ethernet")
    build = build_riot(path, settings, None, tmp_path / "build", name="model")
    with TapNetwork(_FAULTS) as network, Device(network, [build.elf, network.device_tap], tmp_path) as device:
        device.hear("tinyops")
        with network.inside(), DeviceClient.open(f"coap://[{network.device}]", link="udp") as client:
            result = run_sequence(client, rows, profile=False)
            stack = client.profile().stack_bytes_used
    wanted = ORACLE.run(path.read_bytes(), rows, outputs=len(model.main.outputs), seconds=180)
    assert len(result.outputs) == len(wanted) == len(rows)
    for got, want in zip(result.outputs, wanted, strict=True):
        for g, w in zip(got, want.outputs, strict=True):
            np.testing.assert_array_equal(g, w)
    assert stack > 0
    assert network.counts.lost > 0 or path.stem == "digits"
