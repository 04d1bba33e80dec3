"""The demo of updates: a running device gets a retrained model, and undoes a bad one."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tinyops.device.board import Board
from tinyops.device.build import Build, build_firmware
from tinyops.device.client import DeviceClient
from tinyops.device.demo import DemoData
from tinyops.device.emulator import launch
from tinyops.device.flash import flash_build
from tinyops.device.update import UpdateKey, UpdateSettings
from tinyops.device.update_client import Progress, UpdateClient, UpdateError
from tinyops.emit.capsule import build_capsule, seeded_vectors
from tinyops.emit.files import write_file
from tinyops.errors import TinyopsError
from tinyops.graph import DType, Tensor
from tinyops.load import load_model
from tinyops.lower.compile import CompiledModel, compile_model
from tinyops.resources import data_dir
from tinyops.save import write_tflite
from tinyops.suit import MODEL, Delta, Image, Reason, UpdateDescription, emit, sign
from tinyops.suit.manifest import digest_of
from tinyops.update.delta import encode_delta
from tinyops.update.signing import Algorithm, SoftwareSigner

Array = np.ndarray[Any, Any]

_VENDOR = "demo.tinyops.invalid"
_NAME = "digits"
_WHOLE, _DELTA = "v{}.bin", "v{}-delta.bin"


@dataclass(frozen=True)
class Answers:
    """What the device made of the test images: how many are right, and bytes that differ from TFLite Micro's."""

    correct: int
    mismatches: int


@dataclass(frozen=True)
class Sent:
    """An update that was sent: bytes of its manifest, of what was transferred, and of the whole capsule."""

    manifest_bytes: int
    payload_bytes: int
    capsule_bytes: int


@dataclass(frozen=True, eq=False)
class UpdateDemo:
    """What the device did: `v1` before, `v2` after the update, `kept` after the bad v3, which `refusal` is about.

    `fresh` are bytes of the delta from v1 to v2, a model that was trained anew; `tuned` of that from v2 to v3, whose
    weights were moved by at most 2, as by fine-tuning with frozen scales. `console` is what the device said.
    """

    build: Build
    images: int
    v1: Answers
    v2: Answers
    kept: Answers
    update: Sent
    bad: Sent
    refusal: Reason
    fresh_delta_bytes: int
    inferences: int
    console: str


@dataclass(frozen=True)
class _Update:
    envelope: bytes
    digest: bytes
    payloads: dict[str, bytes]

    def payload(self, uri: str) -> bytes:
        return self.payloads[uri]


def run_update_demo(
    data: DemoData,
    board: Board,
    folder: Path,
    *,
    limit: int | None = None,
    step: Callable[[str], None] = lambda _: None,
    progress: Progress = lambda _name, _done, _total: None,
    advance: Callable[[], None] = lambda: None,
) -> UpdateDemo:
    """Build updatable firmware with digits v1, boot it, send v2 and then a bad v3 over its serial line.

    The key is made for this run. TinyopsError when the device does not do what it has to.
    """
    signer = SoftwareSigner.generate(Algorithm.ED25519)
    step("building updatable firmware")
    settings = UpdateSettings((UpdateKey(int(signer.algorithm), signer.public.raw, signer.kid),), vendor=_VENDOR)
    build = build_firmware(data.model, board, folder, name=_NAME, update=settings)
    image = flash_build(folder, board).image
    assert build.update is not None
    step("making capsules, deltas and manifests")
    v2 = compile_model(data_dir("models") / "digits" / "v2" / "digits.tflite", name=_NAME, by_structure=True)
    v3 = _fine_tuned(v2, folder / "v3.tflite")
    first, second = build.update.capsule, build_capsule(v2)
    third = build_capsule(v3, golden=seeded_vectors(v2.model))
    update = _make(build, signer, 2, second, {})
    tuned = encode_delta(second, third)
    bad = _make(build, signer, 3, third, {second: tuned})
    count = len(data.images[:limit])
    with np.load(data_dir("models") / "digits" / "v2" / "outputs.npz", allow_pickle=False) as arrays:
        expected = replace(data, expected=arrays["outputs"])
    heard: list[str] = []
    with launch(board, image, console=heard.append) as client:
        updates = UpdateClient(client)
        step("classifying with v1")
        before = _classify(client, data, count, advance)
        step("sending v2")
        sent = updates.push(update.envelope, update.digest, update.payload, progress)
        if sent.state.state != "trial":
            raise TinyopsError("the new model does not run", where=board.name)
        step("classifying with v2")
        after = _classify(client, expected, count, advance)
        while updates.state().state == "trial":  # few images were asked for
            client.infer([data.images[0][None]])
        step("sending a bad v3")
        refusal = _refusal(updates, bad, progress)
        step("classifying again")
        kept = _classify(client, expected, count, advance)
        inferences = int(updates.status()["inferences"])
    return UpdateDemo(
        build=build,
        images=count,
        v1=before,
        v2=after,
        kept=kept,
        update=Sent(len(update.envelope), sent.sent, len(second)),
        bad=Sent(len(bad.envelope), len(tuned), len(third)),
        refusal=refusal,
        fresh_delta_bytes=len(encode_delta(first, second)),
        inferences=inferences,
        console="".join(heard),
    )


def _refusal(updates: UpdateClient, update: _Update, progress: Progress) -> Reason:
    try:
        updates.push(update.envelope, update.digest, update.payload, progress)
    except UpdateError as error:
        if error.reason is not Reason.SELF_TEST:
            raise
        return error.reason
    raise TinyopsError("a model whose golden vectors fail was not undone", where=updates.where)


def _classify(client: DeviceClient, data: DemoData, count: int, advance: Callable[[], None]) -> Answers:
    outputs = []
    for image in data.images[:count]:
        outputs.append(client.infer([image[None]])[0].reshape(-1))
        advance()
    answers = np.stack(outputs)
    correct = int((answers.argmax(axis=1) == data.labels[:count]).sum())
    return Answers(correct, int((answers != data.expected[:count]).sum()))


def _fine_tuned(source: CompiledModel, target: Path) -> CompiledModel:
    """The model with all weights moved by at most 2 steps: what a fine-tuning with frozen scales does to them."""
    model = load_model(source.source)
    random = np.random.default_rng(3)

    def moved(tensor: Tensor) -> Tensor:
        if tensor.data is None or tensor.dtype is not DType.INT8:
            return tensor
        values = tensor.data.astype(np.int16) + random.integers(-2, 3, tensor.data.shape)
        return replace(tensor, data=np.clip(values, -127, 127).astype(np.int8))

    graph = replace(model.main, tensors=tuple(map(moved, model.main.tensors)))
    model = replace(model, graphs=(graph, *model.graphs[1:]))
    write_file(target, write_tflite(model))
    return compile_model(target, name=_NAME, by_structure=True)


def _make(build: Build, signer: SoftwareSigner, sequence: int, capsule: bytes, deltas: dict[bytes, bytes]) -> _Update:
    """The signed update to `capsule`; `deltas` by their base."""
    assert build.update is not None
    whole, delta = _WHOLE.format(sequence), _DELTA.format(sequence)
    bases = tuple(Delta(delta, hashlib.sha256(base).digest(), len(base)) for base in deltas)
    image = Image(MODEL, hashlib.sha256(capsule).digest(), len(capsule), uri=whole, deltas=bases)
    unsigned = emit(UpdateDescription(sequence, build.update.vendor_id, build.update.class_id, (image,)))
    payloads = {whole: capsule, **dict.fromkeys([delta] if deltas else [], *deltas.values())}
    return _Update(sign(unsigned, signer), digest_of(unsigned.manifest).value, payloads)
