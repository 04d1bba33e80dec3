"""A manifest for RIOT's sys/suit (draft-ietf-suit-manifest-09) out of an `UpdateDescription`.

RIOT executes common, install (9) and validate (10) in the order of the map, knows six parameters and ten commands,
and checks an image only after it fetched it. It has no CBOR tag around the envelope and wants the digest inside of
the COSE message.
"""

from __future__ import annotations

from tinyops.suit.emit_final import sequences, shared_sequence
from tinyops.suit.manifest import Manifest
from tinyops.suit.registry import Section
from tinyops.suit.update import UpdateDescription


def build(update: UpdateDescription) -> tuple[Manifest, dict[Section, bytes]]:
    """The manifest; nothing can be severed. The description has passed `rules.check_description`."""
    manifest = Manifest(
        sequence_number=update.sequence,
        components=tuple(image.component for image in update.images),
        shared=shared_sequence(update),
        sequences=sequences(update),
    )
    return manifest, {}
