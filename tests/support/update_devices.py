"""What tests do with a device that takes updates."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest

from tests.support.updates import Pack, host_device, pack
from tinyops.device.build import Build
from tinyops.device.client import DeviceClient
from tinyops.device.emulator import launch
from tinyops.device.update_client import Pushed, UpdateClient, UpdateError
from tinyops.suit import Reason

Console = Callable[[str], None]


def start(build: Build, console: Console | None = None) -> AbstractContextManager[DeviceClient]:
    """A device whose flash is empty."""
    if build.board.name == "host":
        return host_device(build, None, console=console)
    return launch(build.board, build.elf, console=console)


def push(client: DeviceClient, update: Pack, **options: Any) -> Pushed:
    return UpdateClient(client).push(update.envelope, update.digest, update.payload, **options)


def refused(client: DeviceClient, update: Pack) -> Reason:
    """Why the device refuses an update; it must run on as before."""
    updates = UpdateClient(client)
    before = updates.state()
    with pytest.raises(UpdateError) as error:
        push(client, update)
    after = updates.state()
    assert (after.state, after.model, after.sequence, after.reason) == (
        "idle",
        before.model,
        before.sequence,
        error.value.reason,
    )
    assert error.value.reason.slug in str(error.value)
    return error.value.reason


def settle(client: DeviceClient, build: Build) -> None:
    """An accepted manifest ends the pause after refused ones."""
    accepted = UpdateClient(client).state().accepted
    update = pack(build, accepted + 1000)
    updates = UpdateClient(client)
    with pytest.raises(StopError):
        updates.push(update.envelope, update.digest, stop_at_once)
    assert updates.cancel().outcome is Reason.CANCELLED


class StopError(Exception):
    """The host goes away."""


def stop_at_once(*_: object) -> bytes:
    raise StopError


class WaitingError(Exception):
    """The device has the update and has not tried it."""


def push_to_pending(updates: UpdateClient, update: Pack, last: str = "model.bin") -> None:
    def check(name: str, done: int, total: int) -> None:
        if name == last and done == total:
            raise WaitingError

    updates.push(update.envelope, update.digest, update.payload, check)
