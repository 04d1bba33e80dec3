"""Every CBOR number of SUIT and COSE that tinyops reads or writes. A renumbering is an edit of this file alone.

The enumerations hold the numbers of the final specifications: draft-ietf-suit-manifest-37,
draft-ietf-suit-update-management-14, draft-ietf-suit-trust-domains-12, draft-ietf-suit-firmware-encryption-26,
draft-ietf-suit-report-20, RFC 9052, RFC 9053 and RFC 9864 (COSE). A `Dialect` maps them to what is on the wire:
`FINAL` is the identity; `RIOT_LEGACY` is draft-ietf-suit-manifest-09 as RIOT's sys/suit reads it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from functools import cached_property

ENVELOPE_TAG = 107


class Member(IntEnum):
    """Keys of the envelope; a severed member of the manifest has its `Section` number."""

    AUTHENTICATION = 2
    MANIFEST = 3


class Section(IntEnum):
    """Keys of the manifest."""

    VERSION = 1
    SEQUENCE_NUMBER = 2
    COMMON = 3
    REFERENCE_URI = 4
    COMPONENT_ID = 5
    SET_VERSION = 6
    VALIDATE = 7
    LOAD = 8
    INVOKE = 9
    COSWID = 14
    DEPENDENCY_RESOLUTION = 15
    PAYLOAD_FETCH = 16
    CANDIDATE_VERIFICATION = 18
    INSTALL = 20
    TEXT = 23
    UNINSTALL = 24


SEVERABLE = (
    Section.COSWID,
    Section.DEPENDENCY_RESOLUTION,
    Section.PAYLOAD_FETCH,
    Section.CANDIDATE_VERIFICATION,
    Section.INSTALL,
    Section.TEXT,
)
SEQUENCES = (
    Section.VALIDATE,
    Section.LOAD,
    Section.INVOKE,
    Section.DEPENDENCY_RESOLUTION,
    Section.PAYLOAD_FETCH,
    Section.CANDIDATE_VERIFICATION,
    Section.INSTALL,
    Section.UNINSTALL,
)


class Common(IntEnum):
    """Keys of the common block."""

    DEPENDENCIES = 1
    COMPONENTS = 2
    SHARED_SEQUENCE = 4


DEPENDENCY_PREFIX = 1


class Command(IntEnum):
    """Conditions and directives."""

    VENDOR_IDENTIFIER = 1
    CLASS_IDENTIFIER = 2
    IMAGE_MATCH = 3
    USE_BEFORE = 4
    COMPONENT_SLOT = 5
    CHECK_CONTENT = 6
    DEPENDENCY_INTEGRITY = 7
    IS_DEPENDENCY = 8
    PROCESS_DEPENDENCY = 11
    SET_COMPONENT_INDEX = 12
    ABORT = 14
    TRY_EACH = 15
    WRITE = 18
    SET_PARAMETERS = 19
    OVERRIDE_PARAMETERS = 20
    FETCH = 21
    COPY = 22
    INVOKE = 23
    DEVICE_IDENTIFIER = 24
    IMAGE_NOT_MATCH = 25
    MINIMUM_BATTERY = 26
    UPDATE_AUTHORIZED = 27
    VERSION = 28
    WAIT = 29
    SWAP = 31
    RUN_SEQUENCE = 32
    UNLINK = 33
    OVERRIDE_MULTIPLE = 34
    COPY_PARAMETERS = 35


CONDITIONS = frozenset(
    {
        Command.VENDOR_IDENTIFIER,
        Command.CLASS_IDENTIFIER,
        Command.IMAGE_MATCH,
        Command.USE_BEFORE,
        Command.COMPONENT_SLOT,
        Command.CHECK_CONTENT,
        Command.DEPENDENCY_INTEGRITY,
        Command.IS_DEPENDENCY,
        Command.ABORT,
        Command.DEVICE_IDENTIFIER,
        Command.IMAGE_NOT_MATCH,
        Command.MINIMUM_BATTERY,
        Command.UPDATE_AUTHORIZED,
        Command.VERSION,
    }
)


class Parameter(IntEnum):
    """Keys of the parameter maps."""

    VENDOR_IDENTIFIER = 1
    CLASS_IDENTIFIER = 2
    IMAGE_DIGEST = 3
    USE_BEFORE = 4
    COMPONENT_SLOT = 5
    STRICT_ORDER = 12
    SOFT_FAILURE = 13
    IMAGE_SIZE = 14
    CONTENT = 18
    ENCRYPTION_INFO = 19
    URI = 21
    SOURCE_COMPONENT = 22
    INVOKE_ARGUMENTS = 23
    DEVICE_IDENTIFIER = 24
    FETCH_ARGUMENTS = 25
    MINIMUM_BATTERY = 26
    UPDATE_PRIORITY = 27
    VERSION = 28
    WAIT_INFO = 29
    COMPONENT_METADATA = 30


class VersionComparison(IntEnum):
    """How the condition `VERSION` compares the installed version with the given one."""

    GREATER = 1
    GREATER_EQUAL = 2
    EQUAL = 3
    LESSER_EQUAL = 4
    LESSER = 5


class TextKey(IntEnum):
    """Texts about the manifest as a whole."""

    MANIFEST_DESCRIPTION = 1
    UPDATE_DESCRIPTION = 2
    JSON_SOURCE = 3
    YAML_SOURCE = 4


class ComponentTextKey(IntEnum):
    """Texts about one component."""

    VENDOR_NAME = 1
    MODEL_NAME = 2
    VENDOR_DOMAIN = 3
    MODEL_INFO = 4
    DESCRIPTION = 5
    VERSION = 6
    VERSION_REQUIRED = 7
    CURRENT_VERSION = 8


class Report(IntEnum):
    """Keys of suit-report."""

    NONCE = 2
    RECORDS = 3
    RESULT = 4
    RESULT_CODE = 5
    RESULT_RECORD = 6
    RESULT_REASON = 7
    CAPABILITIES = 8
    REFERENCE = 99


SYSTEM_COMPONENT_ID = 0


class ReportReason(IntEnum):
    """Reasons of suit-report; tinyops' own finer reason is the result code."""

    OK = 0
    CBOR_PARSE = 1
    COSE_UNSUPPORTED = 2
    ALGORITHM_UNSUPPORTED = 3
    UNAUTHORISED = 4
    COMMAND_UNSUPPORTED = 5
    COMPONENT_UNSUPPORTED = 6
    COMPONENT_UNAUTHORISED = 7
    PARAMETER_UNSUPPORTED = 8
    SEVERING_UNSUPPORTED = 9
    CONDITION_FAILED = 10
    OPERATION_FAILED = 11
    INVOKE_PENDING = 12


class Capability(IntEnum):
    """Keys of the capability report."""

    COMPONENTS = 1
    COMMANDS = 2
    PARAMETERS = 3
    ALGORITHMS = 4
    ENVELOPE = 5
    MANIFEST = 6
    COMMON = 7
    TEXT = 8
    TEXT_COMPONENT = 9
    DEPENDENCY = 10


class CoseTag(IntEnum):
    """CBOR tags of COSE messages."""

    ENCRYPT0 = 16
    MAC0 = 17
    SIGN1 = 18
    ENCRYPT = 96
    MAC = 97
    SIGN = 98


class Header(IntEnum):
    """COSE header parameters."""

    EPHEMERAL_KEY = -1
    ALGORITHM = 1
    CRITICAL = 2
    CONTENT_TYPE = 3
    KID = 4
    IV = 5


class KeyLabel(IntEnum):
    """COSE_Key labels; `X`, `Y` and `D` are those of the key types OKP and EC2, `K` that of Symmetric."""

    KTY = 1
    KID = 2
    ALG = 3
    CRV = -1
    X = -2
    Y = -3
    D = -4
    K = -1


class KeyType(IntEnum):
    OKP = 1
    EC2 = 2
    SYMMETRIC = 4
    HSS_LMS = 5
    AKP = 7


class Curve(IntEnum):
    P256 = 1
    X25519 = 4
    ED25519 = 6


class Algorithm(IntEnum):
    """COSE algorithms, in their fully specified form where there is one (RFC 9864)."""

    A128CTR = -65534
    HSS_LMS = -46
    ML_DSA_87 = -50
    ML_DSA_65 = -49
    ML_DSA_44 = -48
    SHA_512 = -44
    SHA_384 = -43
    ECDH_ES_A128KW = -29
    ED25519 = -19
    SHA_256 = -16
    ESP256 = -9
    EDDSA = -8
    ES256 = -7
    A128KW = -3
    A128GCM = 1
    HMAC_256 = 5


# What a receiver accepts for a key of this algorithm: the polymorphic predecessor beside the name of today.
ACCEPTED: Mapping[Algorithm, frozenset[int]] = {
    Algorithm.ED25519: frozenset({Algorithm.ED25519, Algorithm.EDDSA}),
    Algorithm.ESP256: frozenset({Algorithm.ESP256, Algorithm.ES256}),
    Algorithm.HSS_LMS: frozenset({Algorithm.HSS_LMS}),
    Algorithm.HMAC_256: frozenset({Algorithm.HMAC_256}),
    Algorithm.ML_DSA_44: frozenset({Algorithm.ML_DSA_44}),
    Algorithm.ML_DSA_65: frozenset({Algorithm.ML_DSA_65}),
    Algorithm.ML_DSA_87: frozenset({Algorithm.ML_DSA_87}),
}
DIGEST_SIZES: Mapping[int, int] = {Algorithm.SHA_256: 32, Algorithm.SHA_384: 48, Algorithm.SHA_512: 64}


class DialectName(StrEnum):
    """The spellings of a manifest."""

    FINAL = "final"
    RIOT_LEGACY = "riot-legacy"


@dataclass(frozen=True)
class Dialect:
    """The numbers on the wire of one version of the specification. What a table lacks cannot be said in it."""

    name: DialectName
    tagged: bool
    detached: bool
    sections: Mapping[Section, int]
    commands: Mapping[Command, int]
    parameters: Mapping[Parameter, int]
    digests: Mapping[Algorithm, int] = field(repr=False)
    signature_algorithms: Mapping[int, int] = field(repr=False)

    @cached_property
    def section_of(self) -> Mapping[int, Section]:
        return {number: name for name, number in self.sections.items()}

    @cached_property
    def command_of(self) -> Mapping[int, Command]:
        return {number: name for name, number in self.commands.items()}

    @cached_property
    def parameter_of(self) -> Mapping[int, Parameter]:
        return {number: name for name, number in self.parameters.items()}

    @cached_property
    def digest_of(self) -> Mapping[int, Algorithm]:
        return {number: name for name, number in self.digests.items()}


FINAL = Dialect(
    DialectName.FINAL,
    tagged=True,
    detached=True,
    sections={section: section.value for section in Section},
    commands={command: command.value for command in Command},
    parameters={parameter: parameter.value for parameter in Parameter},
    digests={
        Algorithm.SHA_256: Algorithm.SHA_256,
        Algorithm.SHA_384: Algorithm.SHA_384,
        Algorithm.SHA_512: Algorithm.SHA_512,
    },
    signature_algorithms={algorithm: algorithm.value for algorithm in ACCEPTED},
)

# What RIOT's handlers know (sys/include/suit/handlers.h, suit.h); anything else makes it refuse the manifest.
RIOT_LEGACY = Dialect(
    DialectName.RIOT_LEGACY,
    tagged=False,
    detached=False,
    sections={
        Section.VERSION: 1,
        Section.SEQUENCE_NUMBER: 2,
        Section.COMMON: 3,
        Section.INSTALL: 9,
        Section.VALIDATE: 10,
    },
    commands={
        Command.VENDOR_IDENTIFIER: 1,
        Command.CLASS_IDENTIFIER: 2,
        Command.IMAGE_MATCH: 3,
        Command.COMPONENT_SLOT: 5,
        Command.SET_COMPONENT_INDEX: 12,
        Command.TRY_EACH: 15,
        Command.SET_PARAMETERS: 19,
        Command.OVERRIDE_PARAMETERS: 20,
        Command.FETCH: 21,
        Command.RUN_SEQUENCE: 30,
    },
    parameters={
        Parameter.VENDOR_IDENTIFIER: 1,
        Parameter.CLASS_IDENTIFIER: 2,
        Parameter.IMAGE_DIGEST: 3,
        Parameter.COMPONENT_SLOT: 5,
        Parameter.IMAGE_SIZE: 14,
        Parameter.URI: 21,
    },
    digests={Algorithm.SHA_256: 2},
    signature_algorithms={Algorithm.ED25519: Algorithm.EDDSA},
)

DIALECTS: Mapping[DialectName, Dialect] = {FINAL.name: FINAL, RIOT_LEGACY.name: RIOT_LEGACY}
