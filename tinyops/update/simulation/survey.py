"""What the devices of a virtual fleet run, and whether it works: each is asked, and answers a golden vector."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import aiocoap
import aiocoap.error

from tinyops.device.link.profile import find_link
from tinyops.device.protocol import read_answer
from tinyops.device.update_protocol import UpdateState
from tinyops.emit.capsule import Capsule, GoldenVector, seeded_inputs
from tinyops.errors import DeviceError
from tinyops.graph import Tensor
from tinyops.update.simulation.fleet import VirtualDevice

_OCTETS, _CBOR = 42, 60
#: Devices that are asked at a time.
_AT_ONCE = 24
_TRIES = 3
_SECONDS = 40.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One device's answer. `works` is None where no capsule with the running model's digest is at hand."""

    device: VirtualDevice
    state: UpdateState | None
    works: bool | None
    error: str | None = None


def survey(
    devices: Sequence[VirtualDevice],
    capsules: Mapping[bytes, Capsule],
    *,
    probe: bool,
    advance: Callable[[], None] = lambda: None,
) -> list[Finding]:
    """Ask every device for its state and, with `probe`, for its outputs for the golden vectors of its model.

    `capsules` by the SHA-256 of their bytes.
    """
    return asyncio.run(_survey(devices, capsules, probe, advance))


async def _survey(
    devices: Sequence[VirtualDevice], capsules: Mapping[bytes, Capsule], probe: bool, advance: Callable[[], None]
) -> list[Finding]:
    context = await aiocoap.Context.create_client_context()
    limit = asyncio.Semaphore(_AT_ONCE)

    async def ask(device: VirtualDevice) -> Finding:
        async with limit:
            finding = await _ask(context, device, capsules, probe)
        advance()
        return finding

    try:
        return list(await asyncio.gather(*map(ask, devices)))
    finally:
        await context.shutdown()


async def _ask(
    context: aiocoap.Context, device: VirtualDevice, capsules: Mapping[bytes, Capsule], probe: bool
) -> Finding:
    error = ""
    for _ in range(_TRIES):
        address = device.address()
        if address is None:
            error = "does not listen"
            await asyncio.sleep(0.2)
            continue
        try:
            state = await _state(context, address, device.name)
            capsule = capsules.get(state.model)
            works = await _works(context, address, capsule) if probe and capsule is not None else None
            if probe and (await _state(context, address, device.name)).model != state.model:
                error = "changes its model"
                continue
            return Finding(device, state, works)
        except (aiocoap.error.Error, TimeoutError, DeviceError) as failure:
            error = str(failure) or type(failure).__name__
    return Finding(device, None, None, error)


async def _state(context: aiocoap.Context, address: str, name: str) -> UpdateState:
    return read_answer(UpdateState, await _request(context, aiocoap.GET, f"{address}/suit/state"), f"device {name}")


async def _works(context: aiocoap.Context, address: str, capsule: Capsule) -> bool:
    """Whether the device's outputs are those of the golden vectors, bit for bit where no tolerance is allowed.

    The device's own inferences come in between: with a state only vectors that start anew can be asked for.
    """
    for vector in capsule.golden:
        if capsule.state_bytes and not vector.starts:
            continue
        payload = _payload(capsule, vector)
        path = f"{address}/infer?reset={int(vector.starts)}"
        answer = await _request(context, aiocoap.POST, path, payload)
        if any(port.tolerance for port in capsule.outputs):
            if len(answer) != sum(map(len, vector.outputs)):
                return False
        elif answer != b"".join(vector.outputs):
            return False
    return True


def _payload(capsule: Capsule, vector: GoldenVector) -> bytes:
    if vector.inputs is not None:
        return b"".join(vector.inputs)
    tensors = [Tensor(f"input {i}", port.dtype, port.shape) for i, port in enumerate(capsule.inputs)]
    return b"".join(array.tobytes() for array in seeded_inputs(tensors, vector.seed))


async def _request(context: aiocoap.Context, code: Any, uri: str, payload: bytes = b"") -> bytes:
    message = aiocoap.Message(code=code, uri=uri, payload=payload, transport_tuning=find_link("udp").tuning())
    if payload:
        message.opt.content_format = _OCTETS
    else:
        message.opt.accept = _CBOR
    response = await asyncio.wait_for(context.request(message).response, _SECONDS)
    if not response.code.is_successful():
        raise DeviceError(f"answers {response.code}", where=uri)
    return bytes(response.payload)
