#include "tinyops/to_update.h"

/* By code, each with its NUL: the slugs of tinyops/suit/reasons.py. */
static const char names[] = "ok\0"
                            "truncated\0"
                            "malformed-cbor\0"
                            "not-deterministic\0"
                            "no-authentication\0"
                            "unknown-key\0"
                            "revoked-key\0"
                            "wrong-algorithm\0"
                            "bad-signature\0"
                            "manifest-digest\0"
                            "manifest-version\0"
                            "sequence-replayed\0"
                            "expired\0"
                            "no-clock\0"
                            "vendor-mismatch\0"
                            "class-mismatch\0"
                            "device-mismatch\0"
                            "component-unknown\0"
                            "command-unknown\0"
                            "parameter-missing\0"
                            "parameter-malformed\0"
                            "nesting\0"
                            "image-digest\0"
                            "image-size\0"
                            "slot-too-small\0"
                            "payload-missing\0"
                            "decrypt\0"
                            "delta-base\0"
                            "delta-malformed\0"
                            "capsule-malformed\0"
                            "capsule-abi\0"
                            "capsule-plan\0"
                            "capsule-bounds\0"
                            "capsule-golden-missing\0"
                            "self-test\0"
                            "self-test-hang\0"
                            "health\0"
                            "flash\0"
                            "cancelled\0"
                            "too-large\0"
                            "busy\0"
                            "unauthorized\0"
                            "rate-limited\0"
                            "etag-changed\0"
                            "timeout\0"
                            "unsupported\0"
                            "aborted\0"
                            "slot-mismatch\0"
                            "battery\0"
                            "version-mismatch\0"
                            "image-present\0"
                            "identity-unchecked\0";

const char *to_update_reason_name(to_reason reason) {
    const char *name = names;
    unsigned skipped = 0;
    if ((unsigned)reason >= TO_REASON_COUNT) {
        return "unknown";
    }
    while (skipped < (unsigned)reason) {
        skipped += *name++ == '\0';
    }
    return name;
}
