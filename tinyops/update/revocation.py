"""Revocations: a manifest, signed with a root key, whose component ["keys"] lists the identifiers of keys to refuse."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from tinyops.errors import TinyopsError, UsageError
from tinyops.suit import FINAL, KEYS, Image, UpdateDescription, cbor, emit, sign
from tinyops.suit.keys import Role
from tinyops.update.keystore import KeyRecord, Keystore
from tinyops.update.pack import Packed, Signing, finish
from tinyops.update.rehearsal import Stage, rehearse
from tinyops.update.target import Target


def choose_root(keystore: Keystore, name: str | None, revoked: Sequence[KeyRecord]) -> KeyRecord:
    """The named root key, or the only one that is left; TinyopsError when there is none."""
    names = {record.name for record in revoked}
    if name is not None:
        record = keystore.get(name)
        if record.role != "root":
            raise UsageError(f"the key {name!r} has the role {record.role}", allowed="a root key, for a revocation")
        if name in names:
            raise UsageError(f"the key {name!r} would revoke itself", allowed="another root key")
        return record
    found = [r for r in keystore.trusted() if r.role == "root" and r.name not in names]
    if len(found) == 1:
        return found[0]
    if found:
        raise UsageError("several root keys could sign", hint=f"--root {found[0].name}")
    raise TinyopsError(
        "there is no root key to sign the revocation with: devices cannot be told",
        allowed="--local, which revokes here alone",
        hint="tinyops keys generate NAME --role root, for the next firmware",
    )


def pack_revocation(revoked: Sequence[KeyRecord], target: Target, key: Signing, sequence: int) -> Packed:
    """The signed pack that makes the devices of `target` refuse keys. A device keeps a signer and a root key."""
    kids = [bytes.fromhex(record.kid) for record in revoked]
    if target.keys is not None:
        _refuse_useless(revoked, kids, target.keys, key)
    content = cbor.encode(kids)
    image = Image(KEYS, hashlib.sha256(content).digest(), len(content), content=content)
    unsigned = emit(UpdateDescription(sequence, target.vendor_id, target.class_id, (image,)), FINAL)
    envelope = sign(unsigned, key.signer)
    stage = Stage(target.vendor_id, target.class_id, [key.signer.public.key(Role.ROOT)], {})
    rehearse(envelope, stage, {KEYS: [content]})
    facts = {
        "vendor_id": str(target.vendor_id),
        "class_id": str(target.class_id),
        "board": target.board,
        "images": [{"component": "keys", "revoked": [record.kid for record in revoked]}],
    }
    return finish(envelope, [key], {}, facts, FINAL)


def _refuse_useless(
    revoked: Sequence[KeyRecord], kids: Sequence[bytes], roles: Mapping[bytes, str], key: Signing
) -> None:
    """TinyopsError for a revocation that the firmware's devices would refuse, or that changes nothing for them."""
    if not any(kid in roles for kid in kids):
        names = ", ".join(record.name for record in revoked)
        raise TinyopsError(f"the firmware does not know {names}: there is nothing to revoke", hint="--local")
    if roles.get(key.signer.kid) != "root":
        raise TinyopsError(
            f"the firmware was not built with {key.name} as a root key: its devices would refuse the revocation"
        )
    left = {role for kid, role in roles.items() if kid not in kids}
    if "signer" not in left:
        raise TinyopsError(
            "no key that signs updates would be left on the devices: they refuse that",
            hint="tinyops keys rotate, then new firmware with the new key, and then the revocation",
        )
