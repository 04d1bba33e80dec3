"""Keys to verify with: those of a keystore, or public keys in files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tinyops.errors import TinyopsError, UsageError
from tinyops.suit import cbor
from tinyops.suit.keys import Key, Role, primitives
from tinyops.suit.registry import KeyLabel
from tinyops.update.files import read_file
from tinyops.update.key_export import hss_of_pem
from tinyops.update.keystore import Keystore
from tinyops.update.signing import Algorithm, PublicKey, public_key_of

_ANY = Role.SIGNER | Role.ROOT
_PUB = -1  #: of HSS-LMS and AKP keys
_ALLOWED = "a key's name, or a file with a public key: PEM, or a COSE_Key"


def find_verifiers(texts: Sequence[str], keystore: Keystore) -> tuple[list[Key], dict[bytes, str]]:
    """(keys, names by key identifier) of the keys that `texts` name, or of the whole keystore."""
    if not texts:
        return keystore.verification_keys(), keystore.names()
    keys: list[Key] = []
    names: dict[bytes, str] = {}
    for text in texts:
        path = Path(text)
        if "/" not in text and not path.is_file():
            record = keystore.get(text)
            if record.algorithm.decrypts:
                raise UsageError(f"the key {text!r} is for decryption", allowed=_ALLOWED)
            key, name = record.key, record.name
        else:
            key, name = read_public_key(path).key(_ANY), path.name
        keys.append(key)
        names[key.kid] = name
    return keys, names


def read_public_key(path: Path) -> PublicKey:
    """A public key in PEM, or a COSE_Key; UsageError for anything else."""
    content = read_file(path, 1 << 14)
    if content.lstrip().startswith(b"-----BEGIN"):
        return of_pem(content, str(path))
    return _of_cose_key(content, str(path))


def of_pem(pem: bytes, where: str, allowed: str = _ALLOWED) -> PublicKey:
    """A public key in PEM; UsageError, with what is `allowed` instead, for anything else."""
    hss = hss_of_pem(pem)
    if hss is not None:
        return hss
    serialization = primitives("serialization")
    from cryptography.exceptions import UnsupportedAlgorithm

    try:
        return public_key_of(serialization.load_pem_public_key(pem), where)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise UsageError("holds no public key that can be read", where=where, allowed=allowed) from error


def _of_cose_key(content: bytes, where: str) -> PublicKey:
    try:
        table = cbor.decode(content, ordered=False)
        algorithm = next(a for a in Algorithm if a.cose == table[KeyLabel.ALG] and not a.decrypts)
        labels = {Algorithm.ES256: (KeyLabel.X, KeyLabel.Y), Algorithm.ED25519: (KeyLabel.X,)}
        return PublicKey(algorithm, b"".join(table[label] for label in labels.get(algorithm, (_PUB,))))
    except TinyopsError as error:
        raise UsageError(error.what, where=where, allowed=_ALLOWED) from error
    except (cbor.CborError, StopIteration, KeyError, TypeError) as error:
        raise UsageError("holds no public key that can be read", where=where, allowed=_ALLOWED) from error
