"""A concise software identification tag (RFC 9393) that names an update and refers to its bill of materials."""

from __future__ import annotations

from typing import Any

from tinyops.suit import cbor
from tinyops.suit.commands import decode
from tinyops.suit.errors import SuitError
from tinyops.suit.reasons import Reason

# RFC 9393, section 2.10: CBOR keys of the members used here.
TAG_ID, SOFTWARE_NAME, ENTITY, LINK, PAYLOAD = 0, 1, 2, 4, 6
HASH, TAG_VERSION, SOFTWARE_VERSION, FILE, SIZE, FS_NAME = 7, 12, 13, 17, 20, 24
ENTITY_NAME, ROLE, HREF, REL = 31, 33, 38, 40
TAG_CREATOR = 1
SEE_ALSO = 9
SHA_256 = 1  # Named Information Hash Algorithm Registry


def sbom_reference(
    *, tag_id: str, name: str, version: str, creator: str, uri: str, digest: bytes, size: int, file: str = "sbom"
) -> bytes:
    """An encoded tag: software `name` `version`, with the bill of materials at `uri` and its SHA-256 and size."""
    if len(digest) != 32:
        raise SuitError(Reason.PARAMETER_MALFORMED, f"a digest of {len(digest)} bytes", where="sbom")
    return cbor.encode(
        {
            TAG_ID: tag_id,
            TAG_VERSION: 0,
            SOFTWARE_NAME: name,
            SOFTWARE_VERSION: version,
            ENTITY: {ENTITY_NAME: creator, ROLE: TAG_CREATOR},
            LINK: {HREF: uri, REL: SEE_ALSO},
            PAYLOAD: {FILE: {FS_NAME: file, SIZE: size, HASH: [SHA_256, digest]}},
        }
    )


def summary(data: bytes) -> dict[str, Any]:
    """What a tag says, as far as it is made of the members above. Raises `SuitError` when it is no map."""
    plain = decode(data, "coswid", ordered=False)
    plain = plain.value if isinstance(plain, cbor.Tag) else plain
    if not isinstance(plain, dict):
        raise SuitError(Reason.MALFORMED_CBOR, "not a map", where="coswid")
    link, payload = plain.get(LINK), plain.get(PAYLOAD)
    file = payload.get(FILE) if isinstance(payload, dict) else None
    named = file.get(HASH) if isinstance(file, dict) else None
    found = {
        "name": plain.get(SOFTWARE_NAME),
        "version": plain.get(SOFTWARE_VERSION),
        "uri": link.get(HREF) if isinstance(link, dict) else None,
        "sha256": named[1].hex() if isinstance(named, list) and len(named) == 2 and type(named[1]) is bytes else None,
    }
    return {key: value for key, value in found.items() if type(value) is str}
