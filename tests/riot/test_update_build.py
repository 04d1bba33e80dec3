"""A build on RIOT that each verb boots anew, as a person does who tries updates without a device."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.updates import SETTINGS, V1, pack
from tinyops.cli.link_options import LinkOptions
from tinyops.cli.update.device import DeviceOptions
from tinyops.device.riot.base import RiotBase
from tinyops.device.riot.build import RiotSettings, build_riot
from tinyops.device.update_client import UpdateClient

pytestmark = pytest.mark.riot


def test_models_stay_in_the_folder_of_the_build(
    riot_base: RiotBase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They outlive the process, and end with the build."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    folder, settings = tmp_path / "build", RiotSettings(riot_base, "native64")
    build = build_riot(V1, settings, None, folder, name="digits", update=SETTINGS)
    device = DeviceOptions(None, folder, LinkOptions())
    update = pack(build, 2)
    with device.connect() as client:
        assert UpdateClient(client).push(update.envelope, update.digest, update.payload).state.sequence == 2
    with device.connect() as client:
        assert UpdateClient(client).state().sequence == 2
    assert not list(Path().iterdir())
    build_riot(V1, settings, None, folder, name="digits", update=SETTINGS)
    with device.connect() as client:
        assert UpdateClient(client).state().sequence == 0
