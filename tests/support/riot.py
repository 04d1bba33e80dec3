"""What RIOT's sys/suit does with a manifest (2026.10-devel), told from its handlers: draft-ietf-suit-manifest-09.

It executes while it parses, in the order of the maps; knows the keys, commands and parameters below; has one component
unless configured otherwise, URLs below 128 bytes with their terminator, and component names below 32 bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import cbor2
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

MANIFEST_MAX = 640
URL_MAX = 128
NAME_MAX = 32


class RiotError(Exception):
    """RIOT returns an error."""


def _demand(holds: bool, what: str) -> None:
    if not holds:
        raise RiotError(what)


@dataclass
class Riot:
    """A RIOT device; `installed` is the content of each component after a manifest."""

    public_key: bytes
    vendor: bytes
    class_id: bytes
    fetch: Callable[[str], bytes]
    sequence: int = 0
    components_max: int = 1
    offset: int = 0
    installed: dict[int, bytes] = field(default_factory=dict)
    validated: set[str] = field(default_factory=set)
    parameters: list[dict[int, Any]] = field(default_factory=list)
    current: int = 0

    def receive(self, data: bytes) -> None:
        """suit_parse: the envelope's members in order, without a tag."""
        _demand(len(data) <= MANIFEST_MAX, "the manifest is too large")
        _demand(data[0] >> 5 == 5, "no map")
        self.payload: bytes | None = None
        for key, value in cbor2.loads(data).items():
            if key == 2:
                self._authenticate(value)
            else:
                _demand(key == 3, f"unsupported member {key}")
                self._manifest(value)
        _demand({"version", "sequence", "vendor", "class"} <= self.validated, "not validated")

    def _authenticate(self, wrapper: bytes) -> None:
        for item in cbor2.loads(wrapper):
            message = cbor2.loads(item)
            _demand(isinstance(message, cbor2.CBORTag) and message.tag == 18, "no COSE_Sign1")
            protected, _, payload, signature = message.value
            _demand(cbor2.loads(protected) == {1: -8}, "no EdDSA")
            _demand(isinstance(payload, bytes), "no payload")
            signed = cbor2.dumps(["Signature1", protected, b"", payload])
            Ed25519PublicKey.from_public_bytes(self.public_key).verify(signature, signed)
            self.payload = payload

    def _manifest(self, content: bytes) -> None:
        _demand(self.payload is not None, "no signature")
        digest = b"\x82\x02\x58\x20" + hashlib.sha256(cbor2.dumps(content)).digest()
        _demand(self.payload == digest, "the digest differs")
        handlers = {1: self._version, 2: self._sequence, 3: self._common, 9: self._commands, 10: self._commands}
        for key, value in cbor2.loads(content).items():
            _demand(key in handlers, f"unsupported key {key}")
            handlers[key](value)

    def _version(self, value: Any) -> None:
        _demand(value == 1, "version")
        self.validated.add("version")

    def _sequence(self, value: Any) -> None:
        _demand(isinstance(value, int) and self.sequence < value < 1 << 32, "sequence number")
        self.validated.add("sequence")

    def _common(self, value: bytes) -> None:
        for key, member in cbor2.loads(value).items():
            if key == 2:
                _demand(len(member) <= self.components_max, "too many components")
                for component in member:
                    _demand(all(isinstance(part, bytes) for part in component), "component")
                    _demand(sum(len(part) + 1 for part in component) < NAME_MAX, "component name")
                self.parameters = [{} for _ in member]
            else:
                _demand(key == 4, f"unsupported member {key} of common")
                self._commands(member)

    def _commands(self, sequence: bytes) -> None:
        items = cbor2.loads(sequence)
        for number, argument in zip(items[::2], items[1::2], strict=True):
            self._command(number, argument)

    def _command(self, number: int, argument: Any) -> None:
        values = self.parameters[self.current]
        if number in {1, 2}:
            own = self.vendor if number == 1 else self.class_id
            _demand(values[number] == own, "another device")
            self.validated.add("vendor" if number == 1 else "class")
        elif number == 3:
            _demand(self.current in self.installed, "nothing was fetched")
            algorithm, digest = cbor2.loads(values[3])
            data = self.installed[self.current]
            _demand(algorithm == 2 and len(data) == values[14], "image size")
            _demand(hashlib.sha256(data).digest() == digest, "image digest")
        elif number == 5:
            _demand(values[5] == self.offset, "condition: offset")
        elif number == 12:
            _demand(isinstance(argument, int) and argument < self.components_max, "component index")
            self.current = argument
        elif number == 15:
            self._try_each(argument)
        elif number in {19, 20}:
            for key, value in argument.items():
                _demand(key in {1, 2, 3, 5, 14, 21}, f"unsupported parameter {key}")
                _demand(isinstance(value, (int, bytes, str)), "a parameter of another type")
                values[key] = value
        elif number == 21:
            _demand({"vendor", "class", "sequence", "version"} <= self.validated, "policy")
            _demand(self.current not in self.installed, "fetched before")
            _demand(len(values[21].encode()) < URL_MAX and 14 in values, "URL or size")
            self.installed[self.current] = self.fetch(values[21])
        else:
            _demand(number == 30, f"unsupported command {number}")
            self._commands(argument)

    def _try_each(self, branches: list[bytes]) -> None:
        for branch in branches:
            try:
                self._commands(branch)
            except RiotError as refusal:
                if not str(refusal).startswith("condition"):
                    raise
            else:
                return
        raise RiotError("condition: no branch")
