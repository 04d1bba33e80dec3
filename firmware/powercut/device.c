#include "device.h"

#include <string.h>

#define KEY_BITS UINT32_C(5)
#define KEYS_SEQUENCE 7u
#define BOOTS_MAX 32u

/* RESTART: a reset without a power cut, so with the flash as it is. */
typedef enum { AT_REST, RESTART, CUT, BROKEN } outcome;

static outcome broken(world *w, const char *invariant) {
    if (w->failure == NULL) {
        w->failure = invariant;
    }
    return BROKEN;
}

/* What a result means to the session; only a cut may make the flash fail. */
static outcome after(world *w, to_banks_result result, const char *what) {
    if (w->flash->off) {
        return CUT;
    }
    return result == TO_BANKS_OK ? AT_REST : broken(w, what);
}

/* Notes the record, which must keep all that was ever seen. */
static void observe(world *w, const to_record *record) {
    for (uint32_t i = 0; i < TO_SEQUENCES; i++) {
        if (record->sequences[i] < w->sequences[i]) {
            (void)broken(w, "a sequence number became lower");
        }
        w->sequences[i] = record->sequences[i];
    }
    if (w->revoked & ~record->revoked) {
        (void)broken(w, "a revoked key is trusted again");
    }
    w->revoked = record->revoked;
}

static uint8_t version_in(const world *w, const to_banks *banks, uint8_t bank) {
    for (uint8_t v = OLD; v < VERSIONS; v++) {
        if (memcmp(to_banks_memory(banks, bank), w->images[v], w->plan->image_bytes[v]) == 0) {
            return v;
        }
    }
    return FACTORY;
}

static int is_good(const world *w, uint8_t version) {
    image_kind kind = w->plan->kind;
    return version != NEW || (kind != IMAGE_BAD && kind != IMAGE_HANGS && kind != IMAGE_CRASHES);
}

static void check_running(world *w, const to_banks *banks) {
    uint8_t bank = to_banks_running(banks);
    uint8_t version = FACTORY;
    if (bank != TO_BANK_FACTORY) {
        version = version_in(w, banks, bank);
        if (version == FACTORY) {
            (void)broken(w, "the running bank holds no image that was ever offered");
        }
    }
    if (!is_good(w, version)) {
        (void)broken(w, "an image runs that did not pass its trial");
    }
    if (version < w->running) {
        (void)broken(w, "an older model runs again");
    }
    w->running = version;
}

static outcome revoke(world *w, to_banks *banks, revoke_time now) {
    uint32_t sequences[TO_SEQUENCES];
    memcpy(sequences, to_banks_record(banks)->sequences, sizeof sequences);
    if (w->plan->revoke != now || sequences[1] >= KEYS_SEQUENCE) {
        return AT_REST;
    }
    sequences[1] = KEYS_SEQUENCE;
    outcome result = after(w, to_banks_revoke(banks, KEY_BITS, sequences), "a revocation fails");
    observe(w, to_banks_record(banks));
    return result;
}

static outcome give_up(world *w, to_banks *banks, uint8_t reason) {
    return after(w, to_banks_revert(banks, reason), "a revert fails");
}

/* The trial as the update state machine does it: a durable try, the self-test, the health window. */
static outcome trial(world *w, to_banks *banks) {
    const to_record *record = to_banks_record(banks);
    if (record->state != TO_STATE_PENDING && record->state != TO_STATE_TRY) {
        return AT_REST;
    }
    to_banks_result begun = to_banks_try(banks);
    if (begun == TO_BANKS_TRIES_USED) {
        return give_up(w, banks, record->flags & TO_RECORD_TESTED ? REASON_HEALTH : REASON_HANG);
    }
    outcome result = after(w, begun, "a whole image cannot be tried");
    if (result != AT_REST) {
        return result;
    }
    uint8_t version = version_in(w, banks, to_banks_candidate(banks));
    image_kind kind = version == NEW ? w->plan->kind : IMAGE_GOOD;
    if (version == FACTORY || ++w->tests[version] > TO_BANKS_TRIES) {
        return broken(w, version == FACTORY ? "an unknown image is tried" : "an image is tried too often");
    }
    if (kind == IMAGE_HANGS) {
        return RESTART;
    }
    if (kind == IMAGE_BAD) {
        return give_up(w, banks, REASON_TEST);
    }
    result = after(w, to_banks_tested(banks), "a self-test cannot be noted");
    if (result == AT_REST) {
        result = revoke(w, banks, REVOKE_IN_TRIAL);
    }
    if (result != AT_REST) {
        return result;
    }
    if (kind == IMAGE_CRASHES) {
        return RESTART;
    }
    return after(w, to_banks_confirm(banks), "an image on trial cannot be confirmed");
}

static outcome cancel(world *w, to_banks *banks, uint8_t reason) {
    to_banks_result result = to_banks_cancel(banks, reason);
    w->spoiled = w->spoiled || to_banks_record(banks)->state == TO_STATE_REVERTED;
    outcome done = after(w, result, "a download cannot be cancelled");
    return done == AT_REST ? RESTART : done;
}

static outcome receive(world *w, to_banks *banks, uint8_t version) {
    uint8_t chunk[256];
    uint32_t size = w->plan->image_bytes[version];
    image_kind kind = version == NEW && !w->spoiled ? w->plan->kind : IMAGE_GOOD;
    while (banks->offset < size) {
        uint32_t offset = banks->offset;
        uint32_t count = size - offset < w->plan->chunk_bytes ? size - offset : w->plan->chunk_bytes;
        memcpy(chunk, w->images[version] + offset, count);
        if (kind == IMAGE_CORRUPTED) {
            chunk[count / 2u] ^= 0x10u;
        }
        outcome result = after(w, to_banks_write(banks, offset, chunk, count), "data are refused");
        if (result == AT_REST && offset + count > size / 3u) {
            result = revoke(w, banks, REVOKE_IN_DOWNLOAD);
        }
        if (result != AT_REST) {
            return result;
        }
        if (kind == IMAGE_CANCELLED && offset + count > size / 2u) {
            return cancel(w, banks, REASON_CANCELLED);
        }
    }
    return AT_REST;
}

static outcome update(world *w, to_banks *banks, uint8_t version) {
    uint8_t manifest[TO_DIGEST_BYTES];
    uint32_t sequences[TO_SEQUENCES];
    if (to_banks_record(banks)->sequences[0] >= version) {
        return AT_REST;
    }
    memset(manifest, version + 1, sizeof manifest);
    uint32_t size = w->plan->image_bytes[version];
    outcome result = after(w, to_banks_begin(banks, manifest, version, size), "a download cannot begin");
    if (result == AT_REST) {
        result = receive(w, banks, version);
    }
    if (result != AT_REST) {
        return result;
    }
    to_banks_result finished = to_banks_finish(banks, w->digests[version]);
    if (!w->flash->off && finished == TO_BANKS_DIGEST) {
        return cancel(w, banks, REASON_DIGEST);
    }
    result = after(w, finished, "a download cannot be finished");
    if (result != AT_REST) {
        return result;
    }
    memcpy(sequences, to_banks_record(banks)->sequences, sizeof sequences);
    sequences[0] = version;
    result = after(w, to_banks_pending(banks, sequences), "an image cannot become pending");
    return result == AT_REST ? trial(w, banks) : result;
}

static outcome session(world *w, uint8_t target, uint32_t fill) {
    to_banks banks;
    outcome result =
        after(w, to_banks_open(&banks, &w->flash->flash, w->plan->page_bytes), "the banks do not open");
    if (result != AT_REST) {
        return result;
    }
    observe(w, to_banks_record(&banks));
    check_running(w, &banks);
    for (uint32_t i = 0; i < fill && result == AT_REST; i++) {
        uint32_t sequences[TO_SEQUENCES];
        memcpy(sequences, to_banks_record(&banks)->sequences, sizeof sequences);
        sequences[2]++;
        result = after(w, to_banks_revoke(&banks, 0, sequences), "a sequence number cannot be raised");
    }
    if (result == AT_REST) {
        result = revoke(w, &banks, REVOKE_AT_BOOT);
    }
    if (result == AT_REST) {
        result = trial(w, &banks);
    }
    if (result == AT_REST) {
        result = update(w, &banks, target);
    }
    if (result == AT_REST) {
        result = revoke(w, &banks, REVOKE_AT_END);
    }
    observe(w, to_banks_record(&banks));
    if (result == AT_REST) {
        check_running(w, &banks);
    }
    return result;
}

void world_run(world *w, uint8_t target, uint32_t fill) {
    outcome result = RESTART;
    for (uint32_t boot = 0; result == RESTART && boot < BOOTS_MAX; boot++) {
        result = session(w, target, boot == 0 ? fill : 0);
    }
    if (result == RESTART) {
        (void)broken(w, "the device does not come to rest");
    }
    if (w->flash->violations != 0) {
        (void)broken(w, w->flash->violation);
    }
}

void world_check_rest(world *w, uint8_t target, image_kind kind) {
    static const uint8_t reasons[IMAGE_KINDS] = {0, REASON_TEST, REASON_HANG, REASON_HEALTH, 0, 0};
    int good = reasons[kind] == 0;
    to_banks banks;
    uint8_t expected = good ? target : w->plan->start;
    if (to_banks_open(&banks, &w->flash->flash, w->plan->page_bytes) != TO_BANKS_OK) {
        (void)broken(w, "the banks do not open at rest");
        return;
    }
    observe(w, to_banks_record(&banks));
    check_running(w, &banks);
    const to_record *record = to_banks_record(&banks);
    if (w->running != expected) {
        (void)broken(w, good ? "a good update does not run in the end" : "a bad update was not reverted");
    }
    if (record->state != (good ? TO_STATE_CONFIRMED : TO_STATE_REVERTED) || record->sequences[0] != target) {
        (void)broken(w, "the state at rest is not that of the update");
    }
    if (record->reason != reasons[kind]) {
        (void)broken(w, "the reason is not that of the image");
    }
    int tested = kind != IMAGE_BAD && kind != IMAGE_HANGS;
    if (w->plan->revoke != REVOKE_NEVER && (w->plan->revoke != REVOKE_IN_TRIAL || tested) &&
        (record->revoked != KEY_BITS || record->sequences[1] != KEYS_SEQUENCE)) {
        (void)broken(w, "a key was not revoked");
    }
}
