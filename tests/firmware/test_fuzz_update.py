"""Updatable firmware under a fuzzer: any messages, among them good manifests and payloads in parts."""

from __future__ import annotations

from pathlib import Path

import aiocoap
import pytest
from aiocoap import GET, POST, PUT

from tests.support.fuzzing import fuzz
from tests.support.line import request
from tests.support.updates import V1, bad_capsule, build_updatable, capsule, pack
from tinyops.device.build import Build
from tinyops.device.firmware import BASE, firmware_sources
from tinyops.device.update import update_defines
from tinyops.update.delta import encode_delta


def framed(messages: list[aiocoap.Message]) -> bytes:
    raw = [message.encode() for message in messages]
    return b"\x01" + b"".join(len(part).to_bytes(2, "big") + part for part in raw)


def put(path: str, content: bytes, mid: int, size: int = 1024) -> list[aiocoap.Message]:
    """All blocks of a content."""
    szx = size.bit_length() - 5
    return [
        request(
            PUT,
            path,
            mid + number,
            block1=(number, (number + 1) * size < len(content), szx),
            payload=content[number * size : (number + 1) * size],
        )
        for number in range(-(-len(content) // size))
    ]


def seeds(build: Build) -> dict[str, bytes]:
    assert build.update is not None
    state = [request(GET, path, 900 + n) for n, path in enumerate(("suit/state", "suit/report", "status"))]
    good, bad = pack(build, 2), pack(build, 3, bad_capsule())
    base = build.update.capsule
    delta = encode_delta(base, capsule())
    by_delta = pack(build, 2, deltas=[("d.bin", base, delta)])
    infers = [request(POST, "infer", 700 + n, payload=bytes(64)) for n in range(9)]
    manifest, payload = put("suit/manifest", good.envelope, 1, 64), put("suit/payload", capsule(), 100)
    return {
        "v2": framed([*manifest, *state, *payload, *infers, *state]),
        "v2_cancelled": framed([*manifest, *payload[:3], request(POST, "suit/cancel", 600), *state]),
        "v2_on_trial": framed([*manifest, *payload, request(POST, "suit/cancel", 600), *infers[:1], *state]),
        "bad": framed([*put("suit/manifest", bad.envelope, 1), *put("suit/payload", bad_capsule(), 100), *state]),
        "delta": framed([*put("suit/manifest", by_delta.envelope, 1), *put("suit/payload", delta, 100), *state]),
        "again": framed([*put("suit/manifest", pack(build, 2, capsule(V1)).envelope, 1), *manifest, *payload[4:6]]),
        "trigger": framed([request(POST, "suit/trigger", 5, payload=b"coap://[::1]/m")]),
    }


@pytest.mark.slow
def test_fuzz_update(tmp_path: Path) -> None:
    build = build_updatable("host", tmp_path / "build")
    assert build.update is not None
    firmware = firmware_sources(build.board, update=build.update)
    ours = [path for path in firmware.sources if path.parent.name == "src"]
    needless = {"main", "to_fetch", "to_pull", "to_checkin", "to_oscore", "to_uri"}
    others = {path.stem for path in firmware.sources}
    objects = [path for path in (build.folder / "obj").glob("*.o") if path.stem not in others]
    sources = [path for path in ours if path.stem not in needless]
    assert {path.stem for path in sources} > BASE - {"main"}
    folder = tmp_path / "seeds"
    folder.mkdir()
    for name, content in seeds(build).items():
        (folder / name).write_bytes(content)
    flags = ['-DTINYOPS_VERSION="fuzz"', *update_defines(build.update), *build.update.crypto.cflags]
    flags += [f"-I{path}" for path in build.update.crypto.include_dirs]
    fuzz("fuzz_update.c", [*sources, *objects], folder, tmp_path, flags, max_bytes=20000)
