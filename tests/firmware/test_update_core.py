"""The functions of updates by themselves, under sanitizers: time, overlapping data, resumption, encrypted payloads."""

from __future__ import annotations

import dataclasses
import hashlib
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.firmware import compiler
from tests.support.updates import OTHER, SETTINGS, V1, V2, Pack, build_updatable, capsule, model_image, pack
from tinyops.device.build import Build
from tinyops.device.update import UpdateKey, update_defines
from tinyops.errors import MissingToolError
from tinyops.resources import data_dir
from tinyops.suit import Reason
from tinyops.suit.encryption import Recipient, encrypt
from tinyops.suit.keys import Key, Role
from tinyops.suit.registry import Algorithm
from tinyops.update.delta import encode_delta

NOW = 1_800_000_000
SECRET = Key(Algorithm.A128KW, b"k" * 16, b"kw", Role.DECRYPT)
#: What the firmware is besides its updates.
DEVICE = {"main", "to_describe", "to_device", "to_exchange", "to_resources", "to_slipmux"}
DEVICE |= {"to_checkin", "to_fetch", "to_oscore", "to_pull"}
DEVICE |= {"to_update_resources"}
TOOL = Path(__file__).parent / "update_tool.c"
SANITIZED = ("-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    settings = dataclasses.replace(
        SETTINGS,
        keys=(*SETTINGS.keys, UpdateKey(int(SECRET.algorithm), SECRET.material, SECRET.kid, "decrypt")),
        algorithms=("ed25519", "aes"),
    )
    try:
        return build_updatable("host", tmp_path_factory.mktemp("host"), settings, sanitized=True)
    except MissingToolError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def program(build: Build, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_program(build, tmp_path_factory.mktemp("tool") / "update_tool", TOOL)


def make_program(build: Build, target: Path, *sources: Path, options: tuple[str, ...] = SANITIZED) -> Path:
    """The firmware's objects with another main; a source of a name of theirs takes the place of the object."""
    firmware = data_dir("firmware")
    assert build.update is not None
    needless = {path.stem for path in (firmware / "host").glob("*.c")} - {"flash_file"} | DEVICE
    needless |= {path.stem for path in sources}
    objects = [str(path) for path in (build.folder / "obj").glob("*.o") if path.stem not in needless]
    flags = ["-std=c99", "-Wall", "-Wextra", "-Wconversion", "-Werror", "-D_POSIX_C_SOURCE=200809L"]
    flags += [*update_defines(build.update), *build.update.crypto.cflags]
    flags += options
    folders = (firmware / "common" / "include", firmware / "common" / "src", firmware / "host", build.folder)
    include = [f"-I{path}" for path in folders]
    done = subprocess.run(
        [compiler(build.board), *flags, *include, *map(str, sources), *objects, "-lm", "-o", str(target)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return target


class Tool:
    """The running tool: each call gives the line that it answers."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def __call__(self, command: str) -> str:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(command + "\n")
        self._process.stdin.flush()
        return self._process.stdout.readline().strip()

    def manifest(self, update: Pack) -> str:
        return self(f"manifest {update.envelope.hex()}")

    def data(self, offset: int, content: bytes, last: bool = False) -> str:
        return self(f"data {offset} {content.hex() or '-'} {int(last)}")

    def state(self) -> list[str]:
        return self("state").split()

    def finish(self, content: bytes, start: int = 0) -> str:
        """All of the payload from `start` on, in odd pieces."""
        answer = ""
        for offset in range(start, len(content), 777):
            part = content[offset : offset + 777]
            answer = self.data(offset, part, offset + 777 >= len(content))
        return answer


@contextmanager
def tool(program: Path, flash: Path | None = None) -> Iterator[Tool]:
    arguments = [str(flash)] if flash else []
    with subprocess.Popen(
        [str(program), *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        yield Tool(process)
        _, errors = process.communicate(timeout=20)
        assert process.returncode == 0, errors


def killed(program: Path, flash: Path, *commands: str) -> None:
    """Run the commands, then lose power."""
    with subprocess.Popen(
        [str(program), str(flash)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        running = Tool(process)
        for command in commands:
            running(command)
        process.kill()


def test_expired(build: Build, program: Path) -> None:
    update = pack(build, 2, use_before=NOW + 10)
    with tool(program) as run:
        assert run.manifest(update) == "no-clock"
        run("tick 100")
        run(f"time {NOW}")
        run("tick 110")
        assert run.manifest(update) == "expired"
        run(f"time {NOW}")
        run("tick 119")
        assert run.manifest(update) == "ok"
        assert run.state() == ["downloading", "ok", "2", "0", "0", "model"]


def test_a_stalled_download_ends_with_a_clock(build: Build, program: Path) -> None:
    with tool(program) as run:
        run("tick 1000")
        assert run.manifest(pack(build, 2)) == "ok"
        run("tick 60000")
        assert run.data(0, capsule()[:1024]) == "ok"
        run(f"tick {60000 + 86400}")
        assert run.state()[0] == "downloading"
        run(f"tick {60001 + 86400}")
        assert run.state()[:2] == ["idle", "timeout"]


def test_pauses_by_the_clock(build: Build, program: Path) -> None:
    bad, good = pack(build, 2, signers=[OTHER]), pack(build, 2)
    with tool(program) as run:
        run("tick 50")
        assert [run.manifest(bad) for _ in range(5)] == ["unknown-key"] * 3 + ["rate-limited"] * 2
        run("tick 51")
        assert run.manifest(good) == "rate-limited"
        run("tick 52")
        assert run.manifest(bad) == "unknown-key"
        run("tick 55")
        assert run.manifest(good) == "rate-limited", "4 seconds now"
        run("tick 56")
        assert run.manifest(good) == "ok"
        for failure in range(12):
            run(f"cancel {Reason.CANCELLED.value}")
            run(f"tick {2000 + 1000 * failure}")
            assert run.manifest(bad) == "unknown-key"
        run("tick 13511")
        assert run.manifest(good) == "rate-limited", "at most 512 seconds"
        run("tick 13512")
        assert run.manifest(good) == "ok"


def test_downloads_that_come_to_nothing(build: Build, program: Path) -> None:
    """Erasing wears the flash: after 64 of them in a row there is a pause, until one succeeds."""
    update = pack(build, 2)
    with tool(program) as run:
        for _ in range(64):
            assert run.manifest(update) == "ok"
            run(f"cancel {Reason.CANCELLED.value}")
        said = []
        for _ in range(9):
            said.append(run.manifest(update))
            run(f"cancel {Reason.CANCELLED.value}")
        assert said == ["ok"] * 3 + ["rate-limited"] * 2 + ["ok"] + ["rate-limited"] * 3
        assert run.manifest(update) == "rate-limited"
        assert run.manifest(update) == "ok"
        assert run.finish(capsule()) == "ok"
        run("poll")
        for sequence in range(3, 9):
            run(f"cancel {Reason.CANCELLED.value}")
            run("poll")
            assert run.manifest(pack(build, sequence)) == "ok"


def test_overlapping_data(build: Build, program: Path) -> None:
    """Bytes that are there already are passed over, so that a transfer may come in any pieces, twice."""
    content = capsule()
    with tool(program) as run:
        assert run.data(0, content[:10]) == "wrong-offset", "nothing is wanted"
        run.manifest(pack(build, 2))
        assert run.data(0, b"") == "ok"
        assert run.data(1, content[1:10]) == "wrong-offset"
        assert run.data(0, content[:100]) == "ok"
        assert run.data(0, content[:100]) == "ok"
        assert run.data(50, content[50:300]) == "ok"
        assert run.state()[4] == "300"
        assert run.data(10, content[10:20], last=True) == "wrong-offset", "a last one that is old"
        assert run.data(300, b"") == "ok"
        assert run.finish(content, 300) == "ok"
        assert run.state() == ["pending", "ok", "2", "2", "-1", "-"]
        assert (run("poll"), run("poll")) == ("1", "0")
        assert run.state()[0] == "trial"
        for _ in range(8):
            run("infer")
        assert run.state()[0] == "idle"


def test_the_entity_tag_is_that_of_one_payload(build: Build, program: Path) -> None:
    with tool(program) as run:
        assert run("etag 01") == "ok"
        run.manifest(pack(build, 2))
        assert (run("etag 0102"), run("etag 0102"), run("etag 01")) == ("ok", "ok", "etag-changed")
        run.manifest(pack(build, 2))
        assert run("etag 01") == "ok", "of another download"


@pytest.mark.parametrize("kind", ["whole", "delta", "encrypted"])
def test_resumed_after_a_reset(build: Build, program: Path, tmp_path: Path, kind: str) -> None:
    """Of a whole capsule the rest is wanted; a delta and a ciphertext come anew, but nothing is erased for them."""
    content, update = payload(build, kind)
    flash = tmp_path / "flash"
    sent = len(content) * 9 // 10
    killed(program, flash, f"manifest {update.envelope.hex()}", f"data 0 {content[:sent].hex()} 0", "state")
    assert capsule()[:8192] in flash.read_bytes()
    with tool(program, flash) as run:
        assert run.state()[0] == "idle"
        assert run.manifest(update) == "ok"
        assert run.state()[4] == "0"
        assert run.data(0, content[:1024]) == "ok"
        assert run.state()[4] == ("8192" if kind == "whole" else "1024")
        assert run.data(1024, content[1024:2048]) == "ok"
        assert capsule()[:8192] in flash.read_bytes(), "it was not erased"
        start = int(run.state()[4])
        assert run.finish(content, start) == "ok"
        assert run.state()[0] == "pending"
        assert run("poll") == "1"
        assert run.state()[0] == "trial"


def payload(build: Build, kind: str) -> tuple[bytes, Pack]:
    assert build.update is not None
    content = capsule()
    if kind == "delta":
        base = build.update.capsule
        delta = encode_delta(base, content)
        return delta, pack(build, 2, deltas=[("d.bin", base, delta)])
    if kind == "encrypted":
        ciphertext, info = encrypt(content, [Recipient(SECRET.algorithm, SECRET.material, SECRET.kid)])
        return ciphertext, pack(build, 2, images=[model_image(content, encryption_info=info)])
    return content, pack(build, 2)


def test_another_manifest_after_a_reset_begins_anew(build: Build, program: Path, tmp_path: Path) -> None:
    flash = tmp_path / "flash"
    first = pack(build, 2)
    killed(program, flash, f"manifest {first.envelope.hex()}", f"data 0 {capsule()[:10000].hex()} 0", "state")
    with tool(program, flash) as run:
        assert run.manifest(pack(build, 3)) == "ok"
        assert run.data(0, capsule()[:1024]) == "ok"
        assert run.state()[4] == "1024"


def test_another_payload_after_a_reset_shows(build: Build, program: Path, tmp_path: Path) -> None:
    """What was stored is believed only when all of it has the digest; then the attempt begins anew."""
    flash = tmp_path / "flash"
    update = pack(build, 2)
    wrong = capsule()[:6000] + b"\xaa" + capsule()[6001:]
    killed(program, flash, f"manifest {update.envelope.hex()}", f"data 0 {wrong[:10000].hex()} 0", "state")
    with tool(program, flash) as run:
        run.manifest(update)
        run.data(0, capsule()[:1024])
        assert run.finish(capsule(), int(run.state()[4])) == "image-digest"
        assert run.state()[:2] == ["idle", "image-digest"]
        assert run.manifest(update) == "ok"
        assert run.finish(capsule()) == "ok"
        assert run("poll") == "1"


def test_encrypted_for_somebody_else(build: Build, program: Path) -> None:
    ciphertext, info = encrypt(capsule(), [Recipient(Algorithm.A128KW, b"x" * 16, SECRET.kid)])
    with tool(program) as run:
        assert run.manifest(pack(build, 2, images=[model_image(capsule(), encryption_info=info)])) == "decrypt"
        ciphertext, info = encrypt(capsule(), [Recipient(SECRET.algorithm, SECRET.material, SECRET.kid)])
        update = pack(build, 2, images=[model_image(capsule(), encryption_info=info)])
        changed = ciphertext[:-1] + bytes([ciphertext[-1] ^ 1])
        assert run.manifest(update) == "ok"
        assert run.finish(changed) == "decrypt"
        assert run.state()[:2] == ["idle", "decrypt"]
        assert run.manifest(update) == "ok"
        assert run.finish(ciphertext) == "ok"


def test_all_reasons_have_their_name(program: Path) -> None:
    with tool(program) as run:
        for reason in Reason:
            run(f"cancel {reason.value}")  # nothing goes on: it changes nothing
        assert run.state()[1] == "ok"
    source = (data_dir("firmware") / "common" / "src" / "to_update_reasons.c").read_text()
    names = "".join(part for part in source.split('"')[1::2] if part.endswith("\\0")).split("\\0")[:-1]
    assert names == [reason.slug for reason in Reason]


def test_a_flash_that_cannot_be_used(program: Path, tmp_path: Path) -> None:
    (tmp_path / "flash").write_bytes(b"short")
    done = subprocess.run([program, tmp_path / "flash"], input=b"", capture_output=True, check=False)
    assert done.returncode == 1
    assert b"error: " in done.stderr


def test_digest_of_what_runs(build: Build) -> None:
    assert build.update is not None
    assert hashlib.sha256(capsule(V2)).digest() != hashlib.sha256(build.update.capsule).digest()


def test_a_bank_that_rots_under_the_running_model(build: Build, program: Path, tmp_path: Path) -> None:
    """It is not erased as long as the model runs from it: another one runs first."""
    flash = tmp_path / "flash"
    with tool(program, flash) as run:
        assert run.manifest(pack(build, 2)) == "ok"
        assert run.finish(capsule()) == "ok"
        assert run("poll") == "1"
        for _ in range(8):
            run("infer")
        assert run("running") == "0 whole"
        assert run.state()[:2] == ["idle", "ok"]
        content = flash.read_bytes()
        at = content.index(capsule()[:64]) + 5000
        with flash.open("r+b") as file:  # the process has it mapped
            file.seek(at)
            file.write(bytes([content[at] ^ 1]))
        assert run("running") == "0 damaged"
        assert run.manifest(pack(build, 3, capsule(V1))) == "busy"
        assert flash.read_bytes().count(capsule()[:4096]) == 1, "what runs was not erased"
        assert run("poll") == "1"
        assert run("running") == "factory whole"
        assert run.manifest(pack(build, 3)) == "ok"
        assert run.finish(capsule()) == "ok"
        assert run("poll") == "1"
        assert run("running") == "0 whole"


def test_a_model_that_was_taken_back_is_not_overwritten_while_it_runs(build: Build, program: Path) -> None:
    with tool(program) as run:
        assert run.manifest(pack(build, 2)) == "ok"
        assert run.finish(capsule()) == "ok"
        assert run("poll") == "1"
        run(f"cancel {Reason.CANCELLED.value}")
        assert run("running") == "0 whole"
        assert run.manifest(pack(build, 3)) == "busy"
        assert run("running") == "0 whole"
        assert run("poll") == "1"
        assert run("running") == "factory whole"
        assert run.manifest(pack(build, 3)) == "ok"


def test_firmware_with_a_newer_model_runs_that(build: Build, program: Path, tmp_path: Path) -> None:
    """A model that an update has brought before does not take the place of one that comes with later firmware."""
    flash = tmp_path / "flash"
    with tool(program, flash) as run:
        assert run.manifest(pack(build, 2)) == "ok"
        assert run.finish(capsule()) == "ok"
        assert run("poll") == "1"
        for _ in range(8):
            run("infer")
        assert run("running") == "0 whole"
    later = {}
    for sequence in (2, 5):
        settings = dataclasses.replace(SETTINGS, sequence=sequence, algorithms=("ed25519", "aes"))
        firmware = build_updatable("host", tmp_path / str(sequence), settings, sanitized=True)
        later[sequence] = make_program(firmware, tmp_path / f"tool{sequence}", TOOL)
    with tool(later[2], flash) as run:
        assert run("running") == "0 whole"
    with tool(later[5], flash) as run:
        assert run("running") == "factory whole"
        assert run.manifest(pack(build, 5)) == "sequence-replayed"
        assert run.manifest(pack(build, 6)) == "ok"
        assert run.finish(capsule()) == "ok"
        assert run("poll") == "1"
        assert run("running") == "1 whole"
