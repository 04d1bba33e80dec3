"""Signed updates after IETF SUIT: manifests made, signed, verified, executed in a model of the device, and explained.

from tinyops.suit import FINAL, Image, UpdateDescription, emit, sign
"""

from __future__ import annotations

from tinyops.suit.emit import Signer, Unsigned, emit, sign
from tinyops.suit.envelope import Envelope
from tinyops.suit.errors import AuthoringError, SuitError
from tinyops.suit.manifest import LanguageTexts, Manifest
from tinyops.suit.reasons import Reason
from tinyops.suit.registry import FINAL, RIOT_LEGACY, Algorithm, Dialect, DialectName
from tinyops.suit.update import (
    FIRMWARE,
    KEYS,
    MODEL,
    Delta,
    Image,
    SlotImage,
    UpdateDescription,
    class_uuid,
    vendor_uuid,
)

__all__ = [
    "FINAL",
    "FIRMWARE",
    "KEYS",
    "MODEL",
    "RIOT_LEGACY",
    "Algorithm",
    "AuthoringError",
    "Delta",
    "Dialect",
    "DialectName",
    "Envelope",
    "Image",
    "LanguageTexts",
    "Manifest",
    "Reason",
    "Signer",
    "SlotImage",
    "SuitError",
    "Unsigned",
    "UpdateDescription",
    "class_uuid",
    "emit",
    "sign",
    "vendor_uuid",
]
