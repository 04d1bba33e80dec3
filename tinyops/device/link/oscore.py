"""OSCORE (RFC 8613): security contexts on this computer, and requests that one of them protects.

A context is a folder: `client/` is this computer's side (settings, secrets, sequence numbers; used by one process at a
time), `device.oscore` the device's (firmware.elf --oscore FILE). All files are for their owner alone. A context must
not be copied and used twice: sequence numbers would repeat.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

import aiocoap

from tinyops.device.link.profile import LinkProfile
from tinyops.errors import DeviceError, MissingToolError, TinyopsError, UsageError

_ALGORITHM = "AES-CCM-16-64-128"
_HOST_ID = b"\x00"
_MAX_ID, _MAX_DEVICE = 7, 32
CLIENT, DEVICE, NAME = "client", "device.oscore", "device"


def make_context(folder: Path, *, device: bytes | None = None) -> Path:
    """Make a security context in the new folder `folder`; the device's file in it.

    `device` is what the device calls itself when it checks in, 1 to 32 bytes: a server then lets it speak for itself
    alone. UsageError when the folder is there already or that is no id.
    """
    if device is not None and not 1 <= len(device) <= _MAX_DEVICE:
        raise UsageError(f"{device.hex() or 'nothing'} is no id of a device", allowed=f"1 to {_MAX_DEVICE} bytes")
    sender = secrets.token_bytes(4) if device is None else _kid(device)
    secret, salt = secrets.token_bytes(16), secrets.token_bytes(8)
    made = False
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=False)
        made = True
        (folder / CLIENT).mkdir(mode=0o700)
        settings = {"sender-id_hex": _HOST_ID.hex(), "recipient-id_hex": sender.hex(), "algorithm": _ALGORITHM}
        _write(folder / CLIENT / "settings.json", json.dumps(settings))
        _write(folder / CLIENT / "secret.json", json.dumps({"secret_hex": secret.hex(), "salt_hex": salt.hex()}))
        if device is not None:
            _write(folder / NAME, device.hex() + "\n")
        lines = (("secret", secret), ("salt", salt), ("sender", sender), ("recipient", _HOST_ID))
        _write(folder / DEVICE, "".join(f"{name} {value.hex()}\n" for name, value in lines))
    except FileExistsError as error:
        raise UsageError(
            "is there already", where=str(folder), hint="a new folder for each device; a context is never made anew"
        ) from error
    except OSError as error:
        if made:
            shutil.rmtree(folder, ignore_errors=True)
        raise TinyopsError(f"cannot be written: {error.strerror}", where=str(folder)) from error
    return folder / DEVICE


def _kid(device: bytes) -> bytes:
    """An id that fits into a nonce, and is not this computer's."""
    return device if len(device) <= _MAX_ID and device != _HOST_ID else hashlib.sha256(device).digest()[:_MAX_ID]


def read_device(folder: Path) -> bytes | None:
    """The device that a context was made for; None when it was made for any. UsageError when that is damaged."""
    try:
        device = bytes.fromhex((folder / NAME).read_text(encoding="ascii")[: 2 * _MAX_DEVICE + 1].strip())
    except FileNotFoundError:
        return None
    except (ValueError, OSError) as error:
        raise UsageError("names no device", where=str(folder / NAME)) from error
    return device


def _write(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def open_credentials(folder: Path) -> Any:
    """This computer's side of the context in `folder`, locked for this process (aiocoap's object).

    Raises UsageError when there is none or others can read it, DeviceError when another process uses it.
    """
    try:
        from aiocoap.oscore import FilesystemSecurityContext
        from filelock import Timeout
    except ImportError as error:
        raise MissingToolError("OSCORE is not installed", hint='pip install "tinyops[update]"') from error
    place = folder / CLIENT
    if not (place / "secret.json").is_file():
        raise UsageError("holds no security context", where=str(folder), hint="tinyops update oscore FOLDER")
    for path in (place, *place.glob("*.json")):
        if os.name == "posix" and path.stat().st_mode & 0o077:
            raise UsageError("can be read by others", where=str(path), hint=f"chmod go= {path}")
    try:
        return FilesystemSecurityContext(str(place))
    except Timeout as error:
        raise DeviceError("is in use by another process", where=str(folder)) from error
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise UsageError(f"is no security context: {error}", where=str(folder)) from error


def protect_requests(context: aiocoap.Context, credentials: Any, profile: Callable[[], LinkProfile]) -> None:
    """Make `context` protect all its requests; blocks of the link's size, which may change, are inside."""
    from aiocoap.transports.oscore import OSCOREAddress, TransportOSCORE

    class Address(OSCOREAddress):  # type: ignore[misc]
        @property
        def maximum_payload_size(self) -> int:
            return profile().block_bytes

        @property
        def maximum_block_size_exp(self) -> int:
            return profile().block_exponent

    class Transport(TransportOSCORE):  # type: ignore[misc]
        async def fill_or_recognize_remote(self, message: aiocoap.Message) -> bool:
            found: bool = await super().fill_or_recognize_remote(message)
            if found and not isinstance(message.remote, Address):
                message.remote = Address(message.remote.security_context, message.remote.underlying_address)
            return found

    context.client_credentials["coap://device/*"] = credentials
    context.request_interfaces.insert(0, Transport(context, context))


def protect_site(
    site: Any,
    folders: Sequence[Path],
    required: Collection[tuple[str, ...]] = (),
    claim: Callable[[bytes], str] = bytes.hex,
) -> Any:
    """A site for aiocoap's server: `site`, with requests opened that a context in `folders` protects.

    Unprotected requests for a path in `required` are refused; others reach `site` as before. The remotes of those that
    were opened have in `authenticated_claims` what `claim` makes of the device that the context was made for. Call
    `release` with each value of the site's `server_credentials` in the end.
    """
    from aiocoap.credentials import CredentialsMap
    from aiocoap.oscore_sitewrapper import OscoreSiteWrapper

    class Site(OscoreSiteWrapper):  # type: ignore[misc]
        async def render_to_pipe(self, pipe: Any) -> None:
            request = pipe.request
            if request.opt.oscore is None and request.opt.uri_path in required:
                answer = aiocoap.Message(code=aiocoap.UNAUTHORIZED, payload=b"OSCORE is required")
                pipe.add_response(answer, is_last=True)
            else:
                await super().render_to_pipe(pipe)

    credentials = CredentialsMap()
    for folder in folders:
        opened = open_credentials(folder)
        device = read_device(folder)
        opened.authenticated_claims = [] if device is None else [claim(device)]
        credentials[f":{folder}"] = opened
    return Site(site, credentials)


def release(credentials: Any) -> None:
    """Store what the context has received, and unlock it."""
    credentials._destroy()  # which aiocoap leaves to the collector of garbage


def refusal(error: Exception) -> str | None:
    """What to say of an error that OSCORE has raised; None for another one."""
    try:
        from aiocoap.oscore import NotAProtectedMessage, ProtectionInvalid
    except ImportError:
        return None
    if isinstance(error, NotAProtectedMessage):
        answer = error.plain_message
        text = answer.payload[:200].decode("utf-8", "replace")
        return f"answered {answer.code} without protection" + (f": {text}" if text else "")
    return "the protection of an answer is wrong" if isinstance(error, ProtectionInvalid) else None
