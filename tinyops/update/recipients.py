"""For whom payloads are encrypted: a key of the keystore, a PEM file of a public key, or a file with a secret."""

from __future__ import annotations

from pathlib import Path

from tinyops.errors import TinyopsError, UsageError
from tinyops.suit.encryption import KEY_BYTES, Recipient
from tinyops.suit.keys import key_id
from tinyops.update.files import read_file
from tinyops.update.key_files import read_private
from tinyops.update.keystore import Keystore, Passphrase
from tinyops.update.signing import Algorithm
from tinyops.update.verifiers import of_pem

_ALLOWED = "a key's name, a PEM file of a public key on P-256, or a file with 16 bytes (also hexadecimal) of mode 600"


def find_recipient(text: str, keystore: Keystore, passphrase: Passphrase | None = None) -> Recipient:
    """The recipient that `text` names: a file, where it has a / or a . in it or exists, or a key of `keystore`."""
    path = Path(text)
    if "/" not in text and not path.is_file():
        return keystore.recipient(keystore.get(text), passphrase)
    content = read_file(path, 1 << 14)
    if content.lstrip().startswith(b"-----BEGIN"):
        return _public(content, str(path))
    secret = _secret(read_private(path))
    if secret is None:
        raise UsageError("is no key to encrypt for", where=str(path), allowed=_ALLOWED)
    return Recipient(Algorithm.AES_KW.cose, secret)


def _public(pem: bytes, where: str) -> Recipient:
    public = of_pem(pem, where, _ALLOWED)
    if public.algorithm is not Algorithm.ES256:
        raise TinyopsError(f"is a key of {public.algorithm}", where=where, allowed="a public key on P-256")
    return Recipient(Algorithm.ECDH_ES.cose, public.raw, key_id(public.raw))


def _secret(content: bytes) -> bytes | None:
    if len(content) == KEY_BYTES:
        return content
    try:
        secret = bytes.fromhex(content.decode("ascii").strip())
    except ValueError:
        return None
    return secret if len(secret) == KEY_BYTES else None
