/* Why an update was refused or undone: codes, the same table as tinyops/suit/reasons.py. */
#ifndef TINYOPS_TO_REASON_H
#define TINYOPS_TO_REASON_H

typedef enum to_reason {
    TO_REASON_OK = 0,                      /* ok */
    TO_REASON_TRUNCATED = 1,               /* truncated */
    TO_REASON_MALFORMED_CBOR = 2,          /* malformed-cbor */
    TO_REASON_NOT_DETERMINISTIC = 3,       /* not-deterministic */
    TO_REASON_NO_AUTHENTICATION = 4,       /* no-authentication */
    TO_REASON_UNKNOWN_KEY = 5,             /* unknown-key */
    TO_REASON_REVOKED_KEY = 6,             /* revoked-key */
    TO_REASON_WRONG_ALGORITHM = 7,         /* wrong-algorithm */
    TO_REASON_BAD_SIGNATURE = 8,           /* bad-signature */
    TO_REASON_MANIFEST_DIGEST = 9,         /* manifest-digest */
    TO_REASON_MANIFEST_VERSION = 10,       /* manifest-version */
    TO_REASON_SEQUENCE_REPLAYED = 11,      /* sequence-replayed */
    TO_REASON_EXPIRED = 12,                /* expired */
    TO_REASON_NO_CLOCK = 13,               /* no-clock */
    TO_REASON_VENDOR_MISMATCH = 14,        /* vendor-mismatch */
    TO_REASON_CLASS_MISMATCH = 15,         /* class-mismatch */
    TO_REASON_DEVICE_MISMATCH = 16,        /* device-mismatch */
    TO_REASON_COMPONENT_UNKNOWN = 17,      /* component-unknown */
    TO_REASON_COMMAND_UNKNOWN = 18,        /* command-unknown */
    TO_REASON_PARAMETER_MISSING = 19,      /* parameter-missing */
    TO_REASON_PARAMETER_MALFORMED = 20,    /* parameter-malformed */
    TO_REASON_NESTING = 21,                /* nesting */
    TO_REASON_IMAGE_DIGEST = 22,           /* image-digest */
    TO_REASON_IMAGE_SIZE = 23,             /* image-size */
    TO_REASON_SLOT_TOO_SMALL = 24,         /* slot-too-small */
    TO_REASON_PAYLOAD_MISSING = 25,        /* payload-missing */
    TO_REASON_DECRYPT = 26,                /* decrypt */
    TO_REASON_DELTA_BASE = 27,             /* delta-base */
    TO_REASON_DELTA_MALFORMED = 28,        /* delta-malformed */
    TO_REASON_CAPSULE_MALFORMED = 29,      /* capsule-malformed */
    TO_REASON_CAPSULE_ABI = 30,            /* capsule-abi */
    TO_REASON_CAPSULE_PLAN = 31,           /* capsule-plan */
    TO_REASON_CAPSULE_BOUNDS = 32,         /* capsule-bounds */
    TO_REASON_CAPSULE_GOLDEN_MISSING = 33, /* capsule-golden-missing */
    TO_REASON_SELF_TEST = 34,              /* self-test */
    TO_REASON_SELF_TEST_HANG = 35,         /* self-test-hang */
    TO_REASON_HEALTH = 36,                 /* health */
    TO_REASON_FLASH = 37,                  /* flash */
    TO_REASON_CANCELLED = 38,              /* cancelled */
    TO_REASON_TOO_LARGE = 39,              /* too-large */
    TO_REASON_BUSY = 40,                   /* busy */
    TO_REASON_UNAUTHORIZED = 41,           /* unauthorized */
    TO_REASON_RATE_LIMITED = 42,           /* rate-limited */
    TO_REASON_ETAG_CHANGED = 43,           /* etag-changed */
    TO_REASON_TIMEOUT = 44,                /* timeout */
    TO_REASON_UNSUPPORTED = 45,            /* unsupported */
    TO_REASON_ABORTED = 46,                /* aborted */
    TO_REASON_SLOT_MISMATCH = 47,          /* slot-mismatch */
    TO_REASON_BATTERY = 48,                /* battery */
    TO_REASON_VERSION_MISMATCH = 49,       /* version-mismatch */
    TO_REASON_IMAGE_PRESENT = 50,          /* image-present */
    TO_REASON_IDENTITY_UNCHECKED = 51,     /* identity-unchecked */
    TO_REASON_COUNT = 52
} to_reason;

#endif
