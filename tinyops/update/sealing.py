"""Secrets that have no standard file format, encrypted with a passphrase: scrypt (RFC 7914), then AES-256-GCM."""

from __future__ import annotations

import base64
import json
import os

from tinyops.errors import TinyopsError
from tinyops.suit.keys import primitives

_N, _R, _P = 1 << 15, 8, 1  # 32 MiB
_SALT, _NONCE = 16, 12


def seal(secret: bytes, passphrase: bytes | None, purpose: str) -> bytes:
    """A JSON file with `secret`, encrypted when there is a passphrase; `purpose` is authenticated with it."""
    table = {"purpose": purpose}
    if passphrase:
        salt, nonce = os.urandom(_SALT), os.urandom(_NONCE)
        data = primitives("ciphers.aead").AESGCM(_key(passphrase, salt)).encrypt(nonce, secret, purpose.encode())
        table |= {"salt": _text(salt), "nonce": _text(nonce), "scrypt-aes-256-gcm": _text(data)}
    else:
        table["secret"] = _text(secret)
    return (json.dumps(table, indent=2) + "\n").encode()


def is_sealed(file: bytes) -> bool:
    """Whether a passphrase is needed."""
    return b'"scrypt-aes-256-gcm"' in file


def unseal(file: bytes, passphrase: bytes | None, purpose: str, where: str) -> bytes:
    """The secret of a file that `seal` made; TinyopsError for a wrong passphrase or a damaged file."""
    aead = primitives("ciphers.aead")
    from cryptography.exceptions import InvalidTag

    try:
        table = json.loads(file)
        if table["purpose"] != purpose:
            raise ValueError
        if "secret" in table:
            return base64.b64decode(table["secret"], validate=True)
        fields = (base64.b64decode(table[name], validate=True) for name in ("salt", "nonce", "scrypt-aes-256-gcm"))
        salt, nonce, data = fields
        if len(salt) != _SALT or len(nonce) != _NONCE:
            raise ValueError
        return bytes(aead.AESGCM(_key(passphrase or b"", salt)).decrypt(nonce, data, purpose.encode()))
    except InvalidTag as error:
        raise TinyopsError("the passphrase is wrong, or the file is damaged", where=where) from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise TinyopsError("is damaged", where=where, allowed=f"the {purpose} that `tinyops keys` made") from error


def _key(passphrase: bytes, salt: bytes) -> bytes:
    derived: bytes = primitives("kdf.scrypt").Scrypt(salt=salt, length=32, n=_N, r=_R, p=_P).derive(passphrase)
    return derived


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
