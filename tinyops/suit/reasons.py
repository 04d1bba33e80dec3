"""Why an update was refused or undone: one coded table for the device, its reports and the host.

The codes travel in reports, in `/suit/state` and in check-ins: a code is never given a new meaning, and new
reasons are added at the end. `firmware/common/include/tinyops/to_reason.h` holds the same table for C;
`c_header()` renders it and a test compares the two.
"""

from __future__ import annotations

from enum import IntEnum


class Reason(IntEnum):
    """The outcome of an update. The number is the code; `slug` and `text` are for machines and for people."""

    slug: str
    text: str

    def __new__(cls, code: int, slug: str, text: str) -> Reason:
        member = int.__new__(cls, code)
        member._value_ = code
        member.slug = slug
        member.text = text
        return member

    OK = 0, "ok", "accepted"
    TRUNCATED = 1, "truncated", "the data end in the middle of an item"
    MALFORMED_CBOR = 2, "malformed-cbor", "the data are not well-formed CBOR of the expected shape"
    NOT_DETERMINISTIC = 3, "not-deterministic", "the CBOR is not in the deterministic encoding"
    NO_AUTHENTICATION = 4, "no-authentication", "the envelope carries no usable signature or MAC"
    UNKNOWN_KEY = 5, "unknown-key", "the key that signed is not provisioned on this device"
    REVOKED_KEY = 6, "revoked-key", "the key that signed was revoked"
    WRONG_ALGORITHM = 7, "wrong-algorithm", "the algorithm is not the one that the provisioned key is bound to"
    BAD_SIGNATURE = 8, "bad-signature", "the signature or MAC does not verify"
    MANIFEST_DIGEST = 9, "manifest-digest", "the manifest or a severed part does not match its digest"
    MANIFEST_VERSION = 10, "manifest-version", "the manifest is of another version of the specification"
    SEQUENCE_REPLAYED = 11, "sequence-replayed", "the sequence number is not above the last accepted one"
    EXPIRED = 12, "expired", "the manifest's use-before time has passed"
    NO_CLOCK = 13, "no-clock", "the manifest expires and the device has no trusted time"
    VENDOR_MISMATCH = 14, "vendor-mismatch", "the update is for devices of another vendor"
    CLASS_MISMATCH = 15, "class-mismatch", "the update is for another class of devices or another model structure"
    DEVICE_MISMATCH = 16, "device-mismatch", "the update is for another device"
    COMPONENT_UNKNOWN = 17, "component-unknown", "the manifest names a component that the device does not have"
    COMMAND_UNKNOWN = 18, "command-unknown", "the manifest uses a command, key or section that the device does not know"
    PARAMETER_MISSING = 19, "parameter-missing", "a command or the manifest lacks a value that it needs"
    PARAMETER_MALFORMED = 20, "parameter-malformed", "a value has the wrong type, length or range"
    NESTING = 21, "nesting", "command sequences are nested too deeply"
    IMAGE_DIGEST = 22, "image-digest", "the image does not have the digest that the manifest promises"
    IMAGE_SIZE = 23, "image-size", "the image does not have the size that the manifest promises"
    SLOT_TOO_SMALL = 24, "slot-too-small", "the image is larger than the place for it"
    PAYLOAD_MISSING = 25, "payload-missing", "the payload is neither in the envelope nor at its URI"
    DECRYPT = 26, "decrypt", "the payload cannot be decrypted"
    DELTA_BASE = 27, "delta-base", "the delta was made for another image than the one that runs"
    DELTA_MALFORMED = 28, "delta-malformed", "the delta is malformed"
    CAPSULE_MALFORMED = 29, "capsule-malformed", "the model capsule is malformed"
    CAPSULE_ABI = 30, "capsule-abi", "the model capsule was made for other kernels"
    CAPSULE_PLAN = 31, "capsule-plan", "the model capsule was made for another model structure"
    CAPSULE_BOUNDS = 32, "capsule-bounds", "a value of the model capsule is out of bounds"
    CAPSULE_GOLDEN_MISSING = 33, "capsule-golden-missing", "the model capsule has no golden vectors"
    SELF_TEST = 34, "self-test", "the model's outputs differ from its golden vectors"
    SELF_TEST_HANG = 35, "self-test-hang", "the self-test did not end in any of the allowed tries"
    HEALTH = 36, "health", "the device was reset while the new model was on trial"
    FLASH = 37, "flash", "the flash memory failed"
    CANCELLED = 38, "cancelled", "the update was cancelled"
    TOO_LARGE = 39, "too-large", "the message is larger than the device's buffer"
    BUSY = 40, "busy", "another update is in progress"
    UNAUTHORIZED = 41, "unauthorized", "the sender may not do this"
    RATE_LIMITED = 42, "rate-limited", "too many attempts in a short time"
    ETAG_CHANGED = 43, "etag-changed", "the payload changed during the download"
    TIMEOUT = 44, "timeout", "the peer did not answer in time"
    UNSUPPORTED = 45, "unsupported", "this firmware was built without the feature"
    ABORTED = 46, "aborted", "the manifest itself says that it does not apply here"
    SLOT_MISMATCH = 47, "slot-mismatch", "the component is in another slot"
    BATTERY = 48, "battery", "the battery holds less than the update needs"
    VERSION_MISMATCH = 49, "version-mismatch", "the installed version is not the one wanted"
    IMAGE_PRESENT = 50, "image-present", "the component holds the image already"
    IDENTITY_UNCHECKED = 51, "identity-unchecked", "the manifest acts before it checks vendor and class"

    @property
    def c_name(self) -> str:
        """The name of the C constant."""
        return "TO_REASON_" + self.name

    @classmethod
    def from_slug(cls, slug: str) -> Reason:
        """The reason with this slug; ValueError when there is none."""
        for reason in cls:
            if reason.slug == slug:
                return reason
        raise ValueError(f"no reason is called {slug!r}")


def c_header() -> str:
    """The text of to_reason.h."""
    lines = [
        "/* Why an update was refused or undone: codes, the same table as tinyops/suit/reasons.py. */",
        "#ifndef TINYOPS_TO_REASON_H",
        "#define TINYOPS_TO_REASON_H",
        "",
        "typedef enum to_reason {",
    ]
    values = [f"    {reason.c_name} = {reason.value}," for reason in Reason]
    width = max(len(value) for value in values)
    lines += [f"{value:<{width}} /* {reason.slug} */" for value, reason in zip(values, Reason, strict=True)]
    lines += [f"    TO_REASON_COUNT = {len(Reason)}", "} to_reason;", "", "#endif", ""]
    return "\n".join(lines)
