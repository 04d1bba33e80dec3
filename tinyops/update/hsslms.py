"""HSS/LMS signatures (RFC 8554) whose one-time keys are reserved on the disk before they sign.

A one-time key that signs two messages gives the private key away. So the state file is advanced, and synchronized to
the disk, before a signature is made: a crash loses an index and never repeats one. A private key that was copied, or
restored from a backup, would repeat indexes too. Three marks detect it as far as one machine can: the state names the
machine and the folder's inode, and a second copy of the index lies in the user's state folder, outside of the keys.

Trees have 32 leaves (LMS_SHA256_M32_H5, LMOTS_SHA256_N32_W8), in one level or two. The seed and identifier of a
tree of the second level derive from its parent's as in the reference implementation of RFC 8554 (hash-sigs: chain
numbers 0xfffe and 0xffff, which signatures never use). The parent signs a tree's public key once, with a random
value, at the tree's first index; that signature is kept in the key's folder before it is used. Where it is missing
later, the rest of that tree is skipped.
"""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinyops.errors import TinyopsError
from tinyops.update.key_files import locked, private_folder, read_private, write_private
from tinyops.update.signing import Algorithm, PublicKey, PublicSide, pyhsslms_module

SEED_BYTES, ID_BYTES = 32, 16
SECRET_BYTES = SEED_BYTES + ID_BYTES
_HEIGHT = 5
_LEAVES = 1 << _HEIGHT
#: Levels -> how many signatures a key makes in its life.
CAPACITY = {1: _LEAVES, 2: _LEAVES * _LEAVES}
_STATE, _LOCK = "state.json", "lock"
_COPIED = "one-time keys would be used twice: where this folder was copied or restored, generate a new key"


@dataclass(frozen=True)
class _Tree:
    seed: bytes
    identifier: bytes

    def key(self) -> Any:
        """The package's private key; to compute its tree takes a good part of a second."""
        return pyhsslms_module().LmsPrivateKey(SEED=self.seed, I=self.identifier)

    def child(self, leaf: int) -> _Tree:
        return _Tree(self._derive(leaf, 0xFFFE), self._derive(leaf, 0xFFFF)[:ID_BYTES])

    def _derive(self, leaf: int, chain: int) -> bytes:
        prefix = self.identifier + leaf.to_bytes(4, "big") + chain.to_bytes(2, "big") + b"\xff"
        return hashlib.sha256(prefix + self.seed).digest()


def generate_secret() -> bytes:
    """Seed and identifier of a new key's top tree, 48 bytes."""
    return os.urandom(SECRET_BYTES)


def public_key(secret: bytes, levels: int) -> PublicKey:
    """The HSS public key of a secret."""
    return _public(_tree(secret).key(), levels)


def _public(top: Any, levels: int) -> PublicKey:
    return PublicKey(Algorithm.HSSLMS, levels.to_bytes(4, "big") + top.publicKey().serialize())


def _tree(secret: bytes) -> _Tree:
    return _Tree(secret[:SEED_BYTES], secret[SEED_BYTES:])


class HssSigner(PublicSide):
    """A private HSS key in `folder`, whose state is there too; `witness` is the folder of second copies."""

    def __init__(self, secret: bytes, public: PublicKey, folder: Path, witness: Path) -> None:
        self.public = public
        self._secret = secret
        self._folder = folder
        self._levels = int.from_bytes(public.raw[:4], "big")
        self._keys: dict[_Tree, Any] = {}
        wrong = len(secret) != SECRET_BYTES or self._levels not in CAPACITY
        if wrong or _public(self._key(_tree(secret), 0), self._levels) != public:
            raise TinyopsError("the private key and the public key do not belong together", where=str(folder))
        self._state = State(folder, witness, public.kid, CAPACITY[self._levels])

    def sign(self, message: bytes) -> bytes:
        """An HSS signature with a one-time key that was never used before and never will be again."""
        with locked(self._folder / _LOCK):
            index = self._state.reserve()
            upper, lower = divmod(index, _LEAVES)
            if self._levels == 2 and lower and not self._tree_file(upper).exists():
                index = self._state.reserve((upper + 1) * _LEAVES)
            return self._sign_at(index, message)

    def _tree_file(self, leaf: int) -> Path:
        return self._folder / f"tree-{leaf}.sig"

    def _sign_at(self, index: int, message: bytes) -> bytes:
        top = _tree(self._secret)
        head = (self._levels - 1).to_bytes(4, "big")
        if self._levels == 1:
            return bytes(head + self._key(top, index).sign(message))
        upper, lower = divmod(index, _LEAVES)
        key = self._key(top.child(upper), lower)
        public: bytes = key.publicKey().serialize()
        return bytes(head + self._signed_tree(top, upper, public) + public + key.sign(message))

    def _key(self, tree: _Tree, leaf: int) -> Any:
        """The private key of `tree` that signs with `leaf` next."""
        key = self._keys.get(tree)
        if key is None:
            key = self._keys[tree] = tree.key()
        key.q = leaf
        return key

    def _signed_tree(self, top: _Tree, leaf: int, public: bytes) -> bytes:
        """The one signature of a tree's public key; made and stored at the tree's first use."""
        file = self._tree_file(leaf)
        if file.exists():
            signature = read_private(file)
            top_public = pyhsslms_module().HssPublicKey.deserialize(self.public.raw).pub
            if signature[:4] != leaf.to_bytes(4, "big") or not top_public.verify(public, signature):
                raise TinyopsError("is damaged", where=str(file), hint="tinyops keys rotate")
            return signature
        signature = bytes(self._key(top, leaf).sign(public))
        write_private(file, signature)
        return signature


class State:
    """The next unused index of a key, on the disk twice."""

    def __init__(self, folder: Path, witness: Path, kid: bytes, capacity: int) -> None:
        self._file = folder / _STATE
        self._witness = witness / f"{kid.hex()}.json"
        self._capacity = capacity

    def create(self) -> None:
        """Begin at 0, in a folder that has its final name."""
        private_folder(self._witness.parent)
        self._write(0)

    def used(self) -> int:
        """How many indexes are used up; TinyopsError when the state is not the one that this machine wrote last."""
        state, witness = _read(self._file), _read(self._witness)
        if state["machine"] != _machine() or state["folder"] != self._file.parent.stat().st_ino:
            raise TinyopsError("is a copy of an HSS/LMS key", where=str(self._file.parent), hint=_COPIED)
        if state["next"] < witness["next"]:
            what = f"was restored: it is at {state['next']}, and {witness['next']} signatures were made"
            raise TinyopsError(what, where=str(self._file), hint=_COPIED)
        return int(state["next"])

    def reserve(self, least: int = 0) -> int:
        """An index for one signature, durably marked as used with all below; the caller holds the key's lock."""
        index = max(self.used(), least)
        if index >= self._capacity:
            raise TinyopsError(
                f"the key has made all of its {self._capacity:,} signatures",
                where=str(self._file.parent),
                hint="tinyops keys rotate",
            )
        self._write(index + 1)
        return index

    def _write(self, following: int) -> None:
        """First the state, then its witness: a crash in between leaves a state ahead of the witness, which is sound."""
        table = {"next": following, "machine": _machine(), "folder": self._file.parent.stat().st_ino}
        data = (json.dumps(table) + "\n").encode()
        try:
            write_private(self._file, data)
            write_private(self._witness, data)
        except OSError as error:
            what = f"the signature's index cannot be reserved: {error.strerror}"
            raise TinyopsError(what, where=str(self._file)) from error


def _read(file: Path) -> dict[str, Any]:
    if not file.exists():
        raise TinyopsError("the record of used signatures is gone", where=str(file), hint=_COPIED)
    try:
        table = json.loads(read_private(file))
        if isinstance(table, dict) and isinstance(table["next"], int) and table["next"] >= 0:
            return {"next": table["next"], "machine": table["machine"], "folder": table["folder"]}
    except (ValueError, KeyError, RecursionError):
        pass
    raise TinyopsError("the record of used signatures is damaged", where=str(file), hint=_COPIED)


def _machine() -> str:
    """A name of this machine that its copies do not share where there is anything to tell them apart."""
    try:
        name = Path("/etc/machine-id").read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        name = ""
    return hashlib.sha256(f"tinyops:{name or uuid.getnode()}".encode()).hexdigest()[:16]
