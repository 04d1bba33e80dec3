"""How a device is reached from the command line: --port, --link, --block-size, --oscore, and `update oscore`."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import pytest

from tests.support.udp import udp_device
from tinyops.device.board import find_board
from tinyops.device.build import build_firmware
from tinyops.resources import data_dir

MODEL = str(data_dir("models") / "motions" / "motions.tflite")


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("motions") / "build"
    return build_firmware(Path(MODEL), find_board("host"), folder, name="motions").elf


@pytest.mark.parametrize("options", [("--link", "udp"), ("--block-size", "64"), ("--oscore", "folder")])
@pytest.mark.parametrize("verb", [("run", MODEL), ("update", "status")])
def test_links_are_for_devices_at_a_port(tinyops: Any, verb: tuple[str, ...], options: tuple[str, ...]) -> None:
    build = ["--board", "build"] if verb[0] == "update" else []
    done = tinyops(*verb, *build, *options)
    assert done.code == 2
    assert "--port" in done.err


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (("--port", "coap://h/x"), "is no address of a device"),
        (("--port", "coaps://h"), "--oscore"),
        (("--port", "ble:x"), "is no address of a device"),
        (("--port", "coap://127.0.0.1", "--link", "wire"), "802154-mesh"),
        (("--port", "coap://127.0.0.1", "--block-size", "100"), "1024"),
        (("--port", "coap://127.0.0.1", "--oscore", "nothing"), "holds no security context"),
    ],
)
def test_wrong_links(tinyops: Any, options: tuple[str, ...], text: str) -> None:
    for verb in (("run", MODEL), ("update", "status")):
        done = tinyops(*verb, *options)
        assert done.code == 2
        assert text in " ".join(done.err.split())


@pytest.mark.parametrize("options", [(), ("--link", "802154-mesh"), ("--link", "nb-iot"), ("--block-size", "16")])
def test_run_over_udp(tinyops: Any, program: Path, options: tuple[str, ...]) -> None:
    with udp_device(program) as device:
        done = tinyops("run", MODEL, "--verify", "--port", device.address, *options)
    assert (done.code, done.err.count("error")) == (0, 0), done.err
    assert "bit-exact" in done.out


def test_a_security_context_is_made_once(tinyops: Any, tmp_path: Path) -> None:
    done = tinyops("update", "oscore", "kitchen", "--device", "01020304")
    assert done.code == 0, done.err
    assert "kitchen/device.oscore" in done.out + done.err
    assert {stat.S_IMODE(path.stat().st_mode) for path in Path("kitchen").rglob("*") if path.is_file()} == {0o600}
    again = tinyops("update", "oscore", "kitchen")
    assert (again.code, "already" in again.err) == (2, True)
    for wrong in ("1", "zz", "", "00" * 33):
        done = tinyops("update", "oscore", "other", "--device", wrong)
        assert (done.code, Path("other").exists()) == (2, False)
