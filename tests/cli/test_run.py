"""`tinyops run`: the device's outputs, counts and verdicts."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.tflite_writer import ModelBuilder
from tinyops.device.board import find_board
from tinyops.device.build import build_firmware
from tinyops.device.emulator import QEMU_BYTES, launch
from tinyops.lower.compile import compile_model
from tinyops.lower.program import Role

CHECKOUT = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, "-m", "tinyops", "run"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(CHECKOUT)}

Array = np.ndarray[Any, Any]


def recorded(model: Path) -> dict[str, Array]:
    with np.load(model.parent / "test.npz", allow_pickle=False) as arrays:
        return dict(arrays)


@pytest.fixture
def image(tmp_path: Path, digits: Path) -> Array:
    """One real image, saved as x.npy; the expected output is saved beside the model."""
    x = recorded(digits)["inputs"][:1]
    np.save(tmp_path / "x.npy", x)
    return x


@pytest.fixture
def halves(tmp_path: Path) -> Path:
    """A model with two inputs and two outputs, each half of its input."""
    builder = ModelBuilder()
    g = builder.graph()
    a, b = g.tensor((1, 4), scale=0.5), g.tensor((1, 2), scale=0.5)
    first, second = g.tensor((1, 4), scale=1.0), g.tensor((1, 2), scale=1.0)
    g.op("QUANTIZE", [a], [first])
    g.op("QUANTIZE", [b], [second])
    g.inputs, g.outputs = (a, b), (first, second)
    path = tmp_path / "two.tflite"
    path.write_bytes(builder.build()[1])
    return path


def test_the_command_that_users_type(tmp_path: Path, digits: Path, image: Array, emulator: str) -> None:
    """The whole command in a process of its own, as a user would type it."""
    arguments = f"{digits} --board {emulator} --input x.npy --output y.npy --verify --json r.json".split()
    done = subprocess.run(
        [*COMMAND, *arguments], cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    result = json.loads((tmp_path / "r.json").read_text())
    assert (result["mismatches"], result["kind"], result["invocations"]) == (0, "emulated-instructions", 1)
    assert [set(layer) for layer in result["layers"]] == [{"name", "op", "instructions"}] * 14
    assert result["layers"][0]["op"] == "CONV_2D"
    assert result["layers"][0]["instructions"] > 10_000
    counted = sum(layer["instructions"] for layer in result["layers"])
    assert counted <= result["instructions"] < 1.01 * counted
    y = np.load(tmp_path / "y.npy")
    assert (y.shape, y.dtype) == ((1, 10), np.int8)
    np.testing.assert_array_equal(y, recorded(digits)["outputs"][:1])
    assert f"{result['instructions']:,} instructions (emulated-instructions)" in done.stdout
    assert "1 invocation on qemu-cortex-m4 against the reference: bit-exact" in done.stdout
    assert "softmax_13" in done.stdout


def test_a_sequence_carries_state(tinyops: Any, tmp_path: Path, speakers: Path) -> None:
    data = recorded(speakers)
    start, end = data["starts"][:2]
    rows = data["inputs"][start:end].reshape(-1, 1, 12)
    np.save("x.npy", rows)
    done = tinyops("run", speakers, "-b", "host", "-i", "x.npy", "-o", "y.npy", "--verify", "--json")
    assert done.code == 0
    assert (done.json()["mismatches"], done.json()["invocations"]) == (0, len(rows))
    y = np.load("y.npy")
    assert y.shape == (len(rows), 1, 9)
    np.testing.assert_array_equal(y[:, 0], data["outputs"][start:end])

    np.save("last.npy", rows[-1:])
    assert tinyops("run", "build/host", "-i", "last.npy", "-o", "alone.npz").code == 0
    with np.load("alone.npz") as saved:
        alone = saved["output_0"]
    assert alone.shape == (1, 1, 9)
    assert not np.array_equal(alone[0], y[-1]), "without the steps before, the state must differ"


def test_random_input_is_seeded(tinyops: Any, digits: Path) -> None:
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        done = tinyops("run", digits, "-b", "host", "--seed", seed, "-o", f"{name}.npy")
        assert done.code == 0
        assert f"a random one, seed {seed}" in done.err
    a, b, c = (np.load(f"{name}.npy") for name in "abc")
    np.testing.assert_array_equal(a, b)
    assert not np.array_equal(a, c)


def test_several_inputs(tinyops: Any, halves: Path) -> None:
    a, b = np.arange(12, dtype=np.int8).reshape(3, 1, 4), np.arange(6, dtype=np.int8).reshape(3, 1, 2)
    for name, array in {"a": a, "b": b, "short": b[:2], "one": b[0]}.items():
        np.save(f"{name}.npy", array)
    done = tinyops("run", halves, "-b", "host", "-i", "a.npy", "-i", "b.npy", "-o", "y.npz", "--verify", "--json=-")
    assert (done.code, done.json()["mismatches"]) == (0, 0)
    with np.load("y.npz") as saved:
        assert {name: saved[name].shape for name in saved} == {"output_0": (3, 1, 4), "output_1": (3, 1, 2)}
        assert saved["output_0"][2, 0, 3] == 6
    one_missing = tinyops("run", halves, "-b", "host", "-i", "a.npy")
    assert one_missing.code == 2
    assert "1 input file\n" in one_missing.err
    assert "int8[1, 4]" in one_missing.err
    assert "int8[1, 2]" in one_missing.err
    for other in ("short", "one"):
        uneven = tinyops("run", halves, "-b", "host", "-i", "a.npy", "-i", f"{other}.npy")
        assert uneven.code == 2
        assert "different numbers of invocations" in uneven.err
    assert tinyops("run", halves, "-b", "host", "-i", "b.npy", "-i", "a.npy").code == 2
    as_npy = tinyops("run", halves, "-b", "host", "-o", "y.npy")
    assert as_npy.code == 2
    assert "a name that ends in .npz" in as_npy.err


def spoil_weights(path: Path, model: Path) -> None:
    """Change the values of the largest weights where they stand in the file `path`."""
    constants = [c for c in compile_model(model, name="m").program.constants if c.role == Role.WEIGHTS]
    weights = max(constants, key=lambda c: c.nbytes).data.tobytes()
    content = path.read_bytes()
    assert content.count(weights) == 1
    path.write_bytes(content.replace(weights, bytes(255 - value for value in weights)))


def test_verify_finds_wrong_firmware(tinyops: Any, host_build: Path, digits: Path) -> None:
    assert tinyops("flash", host_build).code == 0
    assert tinyops("run", host_build, "--verify").code == 0
    spoil_weights(host_build / "flash.img", digits)
    done = tinyops("run", host_build, "--verify", "--json", "r.json")
    assert done.code == 1
    result = json.loads(Path("r.json").read_text())
    assert result["mismatches"] > 0
    assert f"{result['mismatches']} mismatches" in done.out
    first = result["first_mismatch"]
    assert first["got"] != first["expected"]
    assert f"is {first['got']}, must be {first['expected']}" in done.out
    assert tinyops("run", host_build).code == 0, "without --verify nothing is compared"


def test_verify_against_another_model(tinyops: Any, host_build: Path, digits: Path) -> None:
    """A board with older firmware: same shapes, other weights."""
    spoil_weights(host_build / "model.tflite", digits)
    done = tinyops("run", host_build, "--verify", "--json")
    assert done.code == 1
    assert done.json()["mismatches"] > 0
    assert "runs a model digits that was not made from" in done.err


def test_a_running_device(tinyops: Any, host_build: Path, digits: Path, tmp_path: Path) -> None:
    """--port: nothing is built, and no board need be named."""
    address = tmp_path / "line"
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(address))
    server.listen()
    devices: list[subprocess.Popen[bytes]] = []

    def serve() -> None:
        line = server.accept()[0]
        with line:
            devices.append(subprocess.Popen([host_build / "firmware.elf"], stdin=line, stdout=line))

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        done = tinyops("run", digits, "--port", f"unix:{address}", "--verify", "--json")
    finally:
        thread.join(timeout=10)
        server.close()
        for device in devices:
            device.kill()
            device.wait()
    assert (done.code, done.json()["mismatches"], done.json()["board"]) == (0, 0, None)
    assert not Path("build").exists()


def test_no_device_at_the_port(tinyops: Any, digits: Path) -> None:
    done = tinyops("run", digits, "--port", "unix:nowhere")
    assert done.code == 1
    assert "nowhere" in done.err
    assert tinyops("run", digits, "--port", "tcp://").code == 2


def test_without_profile(tinyops: Any, digits: Path) -> None:
    done = tinyops("run", digits, "-b", "host", "--no-profile", "--json")
    assert (done.json()["layers"], done.json()["instructions"], done.json()["mismatches"]) == ([], None, None)


def save(name: str, array: Array) -> str:
    np.save(name, array)
    return name


BAD_INPUTS = {
    "float": (
        lambda: save("x.npy", np.zeros((1, 8, 8, 1), np.float32)),
        "holds float32[1, 8, 8, 1]",
        "np.round(x / 0.",
    ),
    "other integers": (lambda: save("x.npy", np.zeros((1, 8, 8, 1), np.int16)), "holds int16[1, 8, 8, 1]", "int8[1, 8"),
    "no batch axis": (lambda: save("x.npy", np.zeros((8, 8, 1), np.int8)), "int8[8, 8, 1]", "x.reshape(1, 8, 8, 1)"),
    "batch": (lambda: save("x.npy", np.zeros((5, 8, 8, 1), np.int8)), "int8[5, 8", "x.reshape(5, 1, 8, 8, 1)"),
    "other size": (lambda: save("x.npy", np.zeros((7,), np.int8)), "holds int8[7]", "one more leading axis"),
    "empty sequence": (lambda: save("x.npy", np.zeros((0, 1, 8, 8, 1), np.int8)), "int8[0, 1, 8, 8, 1]", "allowed"),
    "scalar": (lambda: save("x.npy", np.array(3, np.int8)), "holds int8[]", "allowed"),
    "missing": (lambda: "x.npy", "x.npy: no such file", ""),
    "folder": (lambda: Path("x.npy").mkdir() or "x.npy", "x.npy: is a folder", "a .npy file"),
    "text": (lambda: Path("x.npy").write_text("1, 2\n") and "x.npy", "is not a .npy file", "np.save"),
    "empty": (lambda: Path("x.npy").touch() or "x.npy", "is not a .npy file", "np.save"),
    "archive": (
        lambda: np.savez("x.npz", pixels=np.zeros(3)) or "x.npz",
        "is an archive",
        "np.load('x.npz')['pixels']",
    ),
    "damaged archive": (lambda: Path("x.npz").write_bytes(b"PK\3\4junk") and "x.npz", "is an archive", "a .npy file"),
}


@pytest.mark.parametrize(("make", "what", "help_"), BAD_INPUTS.values(), ids=BAD_INPUTS)
def test_unfit_inputs(tinyops: Any, digits: Path, make: Any, what: str, help_: str) -> None:
    done = tinyops("run", digits, "-b", "host", "-i", make())
    assert done.code == 2
    assert what in done.err
    assert help_ in done.err
    assert not Path("build").exists(), "inputs are looked at before anything is built"


HEADERS = {
    "cut": "{'descr': '|i1', 'fortran_order': False, 'shape': (1, 8, 8, 1), }",
    "huge": "{'descr': '|i1', 'fortran_order': False, 'shape': (1000000000000,), }",
    "negative": "{'descr': '|i1', 'fortran_order': False, 'shape': (-1,), }",
    "beyond integers": "{'descr': '|i1', 'fortran_order': False, 'shape': (" + "9" * 40 + ",), }",
    "nested": "(" * 9000,
    "no dictionary": "__import__('os')",
}


@pytest.mark.parametrize("header", HEADERS.values(), ids=HEADERS)
def test_damaged_inputs(tinyops: Any, digits: Path, header: str) -> None:
    Path("x.npy").write_bytes(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode() + b"1234567")
    done = tinyops("run", digits, "-b", "host", "-i", "x.npy")
    assert (done.code, "x.npy: is damaged" in done.err) == (2, True)


def test_nothing_is_unpickled(tinyops: Any, digits: Path, tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "sprung",))

    np.save("x.npy", np.array([Trap()], dtype=object), allow_pickle=True)
    done = tinyops("run", digits, "-b", "host", "-i", "x.npy")
    assert (done.code, "holds Python objects" in done.err) == (2, True)
    assert not (tmp_path / "sprung").exists()


def test_unfit_outputs(tinyops: Any, digits: Path) -> None:
    Path("folder.npy").mkdir()
    cases = {
        "no/y.npy": "mkdir -p no",
        "y.txt": "a name that ends in .npy or .npz",
        "model.tflite": "-o model.npy",
        "folder.npy": "is a folder",
    }
    for name, text in cases.items():
        done = tinyops("run", digits, "-b", "host", "-o", name)
        assert (done.code, text in done.err) == (2, True)
    assert not Path("build").exists()


def test_a_folder_that_cannot_be_run(tinyops: Any, host_build: Path) -> None:
    other = tinyops("run", host_build, "-b", "qemu-cortex-m3")
    assert other.code == 2
    assert "was built for host" in other.err
    above = tinyops("run", host_build.parent)
    assert above.code == 2
    assert str(host_build) in above.err, "the build below is named"
    (host_build / "report.json").write_text('{"board": {"name": 3}}')
    assert tinyops("run", host_build).code == 2


def children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in text.split()]


def runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks for children in /proc")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interruption_leaves_no_emulator(
    tmp_path: Path, speakers: Path, emulator: str, number: signal.Signals, code: int
) -> None:
    np.save(tmp_path / "x.npy", np.zeros((100_000, 1, 12), np.int8))
    arguments = [speakers, "--board", emulator, "--input", "x.npy", "--output", "y.npy"]
    process = subprocess.Popen(
        [*COMMAND, *arguments], cwd=tmp_path, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        deadline = time.monotonic() + 60
        emulators: list[int] = []
        while not emulators and time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.05)
            found = [child for child in children(process.pid) if runs(child)]
            emulators = [c for c in found if "qemu" in Path(f"/proc/{c}/cmdline").read_text()]
        assert emulators
        process.send_signal(number)
        _, err = process.communicate(timeout=20)
    finally:
        process.kill()
    assert process.returncode == code
    assert "Traceback" not in err
    assert "interrupted" in err or number != signal.SIGINT
    assert not any(runs(child) for child in emulators)
    assert not (tmp_path / "y.npy").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_while_the_emulator_starts(
    host_build: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    """The signal comes after the fork, before anybody knows the process."""
    started: list[subprocess.Popen[bytes]] = []
    popen = subprocess.Popen

    def interrupted(*arguments: Any, **options: Any) -> subprocess.Popen[bytes]:
        started.append(popen(*arguments, **options))
        signal.raise_signal(number)
        return started[-1]

    def end(_number: int, _frame: Any) -> None:
        raise KeyboardInterrupt

    before = signal.signal(number, end)
    monkeypatch.setattr(subprocess, "Popen", interrupted)
    try:
        with pytest.raises(KeyboardInterrupt), launch(find_board("host"), host_build / "firmware.elf"):
            pass
        assert signal.getsignal(number) is end
    finally:
        signal.signal(number, before)
    assert [process.returncode for process in started] == [-signal.SIGKILL]


@pytest.mark.skipif(sys.platform != "linux", reason="limits of another process")
def test_qemu_cannot_fill_the_memory(host_build: Path, emulator: str, tmp_path: Path) -> None:
    """One whose tinyops was killed goes on without a line, and takes more and more."""
    import resource

    elf = build_firmware(host_build / "model.tflite", find_board(emulator), tmp_path / "b", name="digits").elf
    with launch(find_board(emulator), elf):
        (found,) = [child for child in children(os.getpid()) if "qemu" in Path(f"/proc/{child}/cmdline").read_text()]
        assert resource.prlimit(found, resource.RLIMIT_AS) == (QEMU_BYTES, QEMU_BYTES)


def test_nobody_reads(tmp_path: Path, digits: Path) -> None:
    for extra in ([], ["--json"]):
        process = subprocess.Popen(
            [*COMMAND, digits, "-b", "host", *extra],
            cwd=tmp_path,
            env=ENVIRONMENT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        text = process.stderr.read().decode()
        process.stderr.close()
        assert process.wait(timeout=30) == 141
        assert text.splitlines() == ["no --input: a random one, seed 0"]
