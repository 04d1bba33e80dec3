"""Keys on PKCS#11 tokens (HSMs, smart cards), named by URIs (RFC 7512): the private half never leaves the token.

    pkcs11:token=signing;object=release?module-path=/usr/lib/softhsm/libsofthsm2.so

The PIN comes from `pin-source=file:...` in the URI, from TINYOPS_PKCS11_PIN, or from whoever asks the person. It is
neither stored nor shown; a URI with `pin-value` is refused, for URIs are stored.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, unquote_to_bytes, urlsplit

from tinyops.errors import MissingToolError, TinyopsError, UsageError
from tinyops.update.key_files import read_private
from tinyops.update.signing import Algorithm, PublicKey, PublicSide

MODULE_VARIABLE, PIN_VARIABLE = "TINYOPS_PKCS11_MODULE", "TINYOPS_PKCS11_PIN"
_PATH = ("token", "serial", "object", "id", "manufacturer", "model", "type", "slot-id")
_QUERY = ("module-path", "pin-source")
_EXAMPLE = "pkcs11:token=NAME;object=LABEL?module-path=/path/to/module.so"
_CURVES = {Algorithm.ES256: "secp256r1", Algorithm.ED25519: "1.3.101.112"}

Pin = Callable[[], bytes]


@dataclass(frozen=True)
class TokenUri:
    """The parts of a PKCS#11 URI that find a token and an object on it."""

    text: str
    token: str | None
    serial: str | None
    object: str | None
    id: bytes | None
    module: str
    pin_file: Path | None


def parse_uri(text: str) -> TokenUri:
    """Read a PKCS#11 URI; UsageError for what cannot be understood, for a PIN in it, and for no module."""
    if not text.startswith("pkcs11:") or len(text) > 1024:
        raise UsageError("is no PKCS#11 URI", where=text[:80], allowed=_EXAMPLE)
    path, _, query = text.removeprefix("pkcs11:").partition("?")
    inside, options = _attributes(path, ";", _PATH), _attributes(query, "&", _QUERY)
    if "object" not in inside and "id" not in inside:
        raise UsageError("the URI names no object", where=text.partition("?")[0], allowed="object=LABEL or id=%01")
    module = unquote(options.get("module-path", "")) or os.environ.get(MODULE_VARIABLE, "")
    if not module:
        raise UsageError(
            "no PKCS#11 module is named", allowed=f"?module-path=/path/to/module.so, or {MODULE_VARIABLE}=..."
        )
    named = {name: unquote(value) for name, value in inside.items() if name != "id"}
    return TokenUri(
        text=text,
        token=named.get("token"),
        serial=named.get("serial"),
        object=named.get("object"),
        id=unquote_to_bytes(inside["id"]) if "id" in inside else None,
        module=module,
        pin_file=_pin_file(options.get("pin-source")),
    )


def _attributes(text: str, separator: str, known: tuple[str, ...]) -> dict[str, str]:
    found: dict[str, str] = {}
    for part in filter(None, text.split(separator)):
        name, equals, value = part.partition("=")
        if name == "pin-value":
            raise UsageError(
                "the URI holds a PIN, and URIs are stored", allowed=f"pin-source=file:..., {PIN_VARIABLE}, or a prompt"
            )
        if not equals or name in found or name not in known:
            raise UsageError(f"the PKCS#11 URI cannot have {name!r:.40} here", allowed=", ".join(known))
        found[name] = value
    return found


def _pin_file(source: str | None) -> Path | None:
    if source is None:
        return None
    parts = urlsplit(unquote(source))
    if parts.scheme not in ("", "file") or parts.netloc or not parts.path:
        raise UsageError(f"pin-source={source!r:.80}", allowed="pin-source=file:/path/to/file")
    return Path(parts.path)


def _pin(uri: TokenUri, ask: Pin) -> str:
    if uri.pin_file is not None:
        return read_private(uri.pin_file).decode("utf-8", "replace").rstrip("\r\n")
    return os.environ.get(PIN_VARIABLE) or ask().decode("utf-8", "replace")


@contextmanager
def _session(uri: TokenUri, ask: Pin, *, write: bool = False) -> Iterator[Any]:
    """A session of the user on the token; the token's errors become TinyopsErrors."""
    try:
        import pkcs11
    except ImportError as error:
        raise MissingToolError(
            "the package python-pkcs11 is not installed", hint='pip install "tinyops[hsm]"'
        ) from error
    try:
        library = pkcs11.lib(uri.module)
    except (pkcs11.PKCS11Error, RuntimeError, OSError) as error:
        raise TinyopsError("the PKCS#11 module cannot be loaded", where=uri.module) from error
    where = uri.text.partition("?")[0]
    try:
        serial = uri.serial.encode() if uri.serial is not None else None
        token = library.get_token(token_label=uri.token, token_serial=serial)
        with token.open(rw=write, user_pin=_pin(uri, ask)) as session:
            yield session
    except pkcs11.PKCS11Error as error:
        raise TinyopsError(_explain(error), where=where) from error


def _explain(error: Exception) -> str:
    """What a token's error says, without its text, which may hold anything."""
    words = {
        "PinIncorrect": "the PIN is wrong",
        "PinLocked": "the PIN is locked after too many wrong ones",
        "PinInvalid": "the PIN has a form that the token refuses",
        "PinLenRange": "the PIN has a length that the token refuses",
        "NoSuchToken": "there is no such token",
        "MultipleTokensReturned": "several tokens match: name one by token=... or serial=...",
        "NoSuchKey": "there is no such key on the token",
        "MultipleObjectsReturned": "several keys match: name one by object=... and id=...",
        "MechanismInvalid": "the token cannot do this algorithm",
        "TokenWriteProtected": "the token is write-protected",
        "UserNotLoggedIn": "the token wants a PIN",
    }
    return words.get(type(error).__name__, f"the token failed: {type(error).__name__}")


def _find(session: Any, uri: TokenUri, kind: str) -> Any:
    import pkcs11

    return session.get_key(
        object_class=getattr(pkcs11.ObjectClass, kind), label=uri.object, id=uri.id if uri.id is not None else None
    )


def _public(key: Any) -> PublicKey:
    """The PublicKey of a token's object, whose EC_POINT is a DER octet string or, in some tokens, bare."""
    import pkcs11

    point = bytes(key[pkcs11.Attribute.EC_POINT])
    if len(point) in (67, 34) and point[0] == 0x04 and point[1] == len(point) - 2:
        point = point[2:]
    if len(point) == 65 and point[0] == 0x04 and key.key_type == pkcs11.KeyType.EC:
        return PublicKey(Algorithm.ES256, point[1:])
    if len(point) == 32 and key.key_type == pkcs11.KeyType.EC_EDWARDS:
        return PublicKey(Algorithm.ED25519, point)
    raise TinyopsError("the token's key is of another kind", allowed="EC on P-256, or Ed25519")


def token_public_key(uri: TokenUri, ask: Pin) -> PublicKey:
    """The public key of the pair that the URI names."""
    with _session(uri, ask) as session:
        return _public(_find(session, uri, "PUBLIC_KEY"))


def generate_on_token(uri: TokenUri, algorithm: Algorithm, ask: Pin) -> PublicKey:
    """Make a key pair on the token, under the URI's label and id; the private key is marked as not extractable."""
    if algorithm not in _CURVES:
        raise UsageError(f"{algorithm} keys cannot be on a PKCS#11 token", allowed=", ".join(_CURVES))
    if uri.object is None:
        raise UsageError("the URI names no object", where=uri.text.partition("?")[0], allowed="object=LABEL")
    with _session(uri, ask, write=True) as session:
        import pkcs11
        from pkcs11.util.ec import encode_named_curve_parameters

        try:
            _find(session, uri, "PRIVATE_KEY")
        except pkcs11.NoSuchKey:
            pass
        else:
            raise TinyopsError(
                f"the token has a key {uri.object!r} already", hint="tinyops keys import NAME --pkcs11 URI"
            )
        edwards = algorithm is Algorithm.ED25519
        parameters = session.create_domain_parameters(
            pkcs11.KeyType.EC_EDWARDS if edwards else pkcs11.KeyType.EC,
            {pkcs11.Attribute.EC_PARAMS: encode_named_curve_parameters(_CURVES[algorithm])},
            local=True,
        )
        public, _ = parameters.generate_keypair(
            mechanism=getattr(pkcs11.Mechanism, "EC_EDWARDS_KEY_PAIR_GEN" if edwards else "EC_KEY_PAIR_GEN"),
            store=True,
            label=uri.object,
            id=uri.id or hashlib.sha256(uri.object.encode()).digest()[:4],
            private_template={pkcs11.Attribute.EXTRACTABLE: False, pkcs11.Attribute.SENSITIVE: True},
        )
        return _public(public)


class TokenSigner(PublicSide):
    """A private key on a token."""

    def __init__(self, uri: str, public: PublicKey, ask: Pin) -> None:
        self.public = public
        self._uri = parse_uri(uri)
        self._ask = ask

    def sign(self, message: bytes) -> bytes:
        with _session(self._uri, self._ask) as session:
            import pkcs11

            key = _find(session, self._uri, "PRIVATE_KEY")
            if self.public.algorithm is Algorithm.ES256:
                signature = key.sign(hashlib.sha256(message).digest(), mechanism=pkcs11.Mechanism.ECDSA)
            else:
                signature = key.sign(message, mechanism=pkcs11.Mechanism.EDDSA)
        if not self.public.verify(message, bytes(signature)):
            raise TinyopsError("the token signed with another key than the one on record", where=self._uri.text)
        return bytes(signature)
