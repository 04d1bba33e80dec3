"""Power cuts in a life of updates, above journal and banks: whole, delta, undone, firmware and model, revoked keys.

TINYOPS_UPDATE_CUT_STRIDE says how far it goes: 1 cuts at every single write into a bank, too (ci/nightly.sh).
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.firmware.test_update_core import make_program
from tests.support.updates import (
    ROOT,
    SECOND,
    V1,
    V2,
    Pack,
    bad_capsule,
    build_updatable,
    capsule,
    model_image,
    pack,
)
from tinyops.device.build import Build
from tinyops.errors import MissingToolError
from tinyops.resources import data_dir
from tinyops.suit import FIRMWARE, KEYS, Image, cbor
from tinyops.update.delta import encode_delta

SOURCE = Path(__file__).parent / "update_cuts.c"
STRIDE = int(os.environ.get("TINYOPS_UPDATE_CUT_STRIDE", "97"))
#: What is removed: file, text, what takes its place. Each text occurs exactly once.
MUTATIONS = {
    "images are handed over before the record": (
        "to_update_components.c",
        "to_reason reason = stage(update);\n",
        "to_reason reason = stage(update);\n    update->port.components->settle(NULL, update->suit.sequence);\n",
    ),
    "images are not handed over after a reset": (
        "to_update_trial.c",
        'to_update_settle(update);\n    say_running(update, "running");',
        'say_running(update, "running");',
    ),
    "the image is staged after the record": (
        "to_update_components.c",
        "to_reason reason = stage(update);\n    if (reason != TO_REASON_OK) {\n        return reason;\n    }\n",
        "to_reason reason = TO_REASON_OK;\n",
    ),
    "the revocation is not in the record": (
        "to_update_components.c",
        "to_banks_revoke(&update->banks, revoked,",
        "to_banks_revoke(&update->banks, 0,",
    ),
    "sequence numbers are not in the record": (
        "to_update_components.c",
        "sequences[i] = named ? update->suit.sequence :",
        "sequences[i] = named > 1 ? 0 :",
    ),
    "no try before the self-test": (
        "to_update_trial.c",
        "switch (to_banks_try(&update->banks)) {",
        "switch (TO_BANKS_OK) {",
    ),
    "a model runs before it is tried": (
        "to_update_trial.c",
        "uint8_t bank = trusted_bank(update);\n    if",
        "uint8_t bank = record->state == TO_STATE_PENDING ? record->bank : trusted_bank(update);\n    if",
    ),
}
SEED = int(os.environ.get("TINYOPS_SEED", "37"))


def image_of(content: bytes, uri: str) -> Image:
    return Image(FIRMWARE, hashlib.sha256(content).digest(), len(content), uri)


def life(build: Build) -> list[tuple[Pack, bytes, int, int]]:
    """Updates, with the capsule that runs, the keys that are revoked and the image that is handed over afterwards."""
    v1, v2 = capsule(V1), capsule(V2)
    revoked = cbor.encode([SECOND.kid])
    keys = Image(KEYS, hashlib.sha256(revoked).digest(), len(revoked), content=revoked)
    second = b"firmware 5 " * 100
    third = b"firmware 6 " * 200
    both: Any = {"images": [model_image(v2), image_of(second, "fw.bin")], "files": {"fw.bin": second}}
    alone: Any = {"images": [image_of(third, "fw.bin")], "files": {"fw.bin": third}}
    return [
        (pack(build, 2, v2), v2, 0, 0),
        (pack(build, 3, v1, deltas=[("d.bin", v2, encode_delta(v2, v1))]), v1, 0, 0),
        (pack(build, 4, bad_capsule()), v1, 0, 0),
        (pack(build, 5, v2, **both), v2, 0, 5),
        (pack(build, 1, images=[keys], signers=[ROOT]), v2, 2, 5),
        (pack(build, 6, **alone), v2, 2, 6),
        (pack(build, 7, v1, signers=[SECOND]), v2, 2, 6),
        (pack(build, 8, v1), v1, 2, 6),
    ]


def explore(program: Path, script: str, seed: int, stride: int, sample: int) -> subprocess.CompletedProcess[str]:
    command = [str(program), str(seed), str(stride), str(sample)]
    return subprocess.run(command, input=script, capture_output=True, text=True, check=False)


def make_build(folder: Path, *, sanitized: bool = False) -> Build:
    try:
        return build_updatable("host", folder, sanitized=sanitized)
    except MissingToolError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    return make_build(tmp_path_factory.mktemp("host"))


@pytest.fixture(scope="module")
def script(build: Build) -> str:
    lines = []
    for update, model, keys, firmware in life(build):
        payloads = [word for uri, content in update.payloads.items() for word in (uri, content.hex())]
        words = [update.envelope.hex(), hashlib.sha256(model).hexdigest(), str(keys), str(firmware), *payloads]
        lines.append(" ".join(words))
    return "\n".join(lines)


@pytest.mark.slow
def test_no_power_cut_does_harm(build: Build, script: str, tmp_path: Path) -> None:
    done = explore(make_program(build, tmp_path / "cuts", SOURCE, options=("-O2",)), script, SEED, STRIDE, 1)
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(done.stdout) >= 1000


def test_no_undefined_behaviour(script: str, tmp_path: Path) -> None:
    sanitized = make_build(tmp_path / "build", sanitized=True)
    done = explore(make_program(sanitized, tmp_path / "cuts", SOURCE), script, SEED + 1, 1 << 20, 16)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("name", MUTATIONS)
def test_a_removed_step_is_found(build: Build, script: str, tmp_path: Path, name: str) -> None:
    file, text, instead = MUTATIONS[name]
    source = (data_dir("firmware") / "common" / "src" / file).read_text()
    assert source.count(text) == 1
    mutated = tmp_path / file
    mutated.write_text(source.replace(text, instead))
    program = make_program(build, tmp_path / "cuts", SOURCE, mutated, options=("-O2", "-w"))
    done = explore(program, script, SEED, 1 << 20, 16)
    assert done.returncode == 1, done.stdout
    assert re.search(r"^update \d+, cut \d at [a-z ]+ \d+: .", done.stdout), done.stdout
