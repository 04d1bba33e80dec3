#include "tinyops/to_update.h"

#include <string.h>

#include "tinyops/to_text.h"
#include "to_update_parts.h"

/* A URI on the console is cut there. */
#define SHOWN_URI 64u

void to_update_say(const to_update *update, const char *const *texts) {
    if (update->port.say != NULL) {
        update->port.say(texts);
    }
}

void to_update_say_reason(const to_update *update, const char *what, to_reason reason) {
    const char *const texts[] = {"update: ", what, ": ", to_update_reason_name(reason), "\n", NULL};
    to_update_say(update, texts);
}

static void say_wanted(const to_update *update, const to_update_want *want) {
    to_number_text sequence, offset;
    char uri[SHOWN_URI + 1];
    uint32_t length = want->uri_length < SHOWN_URI ? want->uri_length : SHOWN_URI;
    for (uint32_t i = 0; i < length; i++) {
        uint8_t c = want->uri[i];
        uri[i] = c >= 0x20 && c < 0x7F ? (char)c : '?';
    }
    uri[length] = '\0';
    const char *const texts[] = {"update: sequence ",
                                 to_text_decimal(&sequence, update->suit.sequence),
                                 " wants ",
                                 want->component,
                                 " from ",
                                 uri,
                                 ", offset ",
                                 to_text_decimal(&offset, want->offset),
                                 "\n",
                                 NULL};
    to_update_say(update, texts);
}

/* Refused manifests in a row make a growing pause, so that nobody keeps the device busy with signatures. */
static int is_paused(to_update *update) {
    if (update->uptime > 0) {
        return update->uptime < update->pause_end;
    }
    if (update->pause_left == 0) {
        return 0;
    }
    update->pause_left--;
    return 1;
}

static void count_failure(to_update *update) {
    if (update->failures < UINT8_MAX) {
        update->failures++;
    }
    if (update->failures < TO_UPDATE_FREE_ATTEMPTS) {
        return;
    }
    unsigned doublings = update->failures - TO_UPDATE_FREE_ATTEMPTS + 1u;
    uint32_t pause = doublings < 9 ? UINT32_C(1) << doublings : TO_UPDATE_PAUSE_MAX;
    update->pause_left = pause;
    update->pause_end = update->uptime + pause;
}

/* What has ended the attempt, for /suit/state; what it stored is erased. */
static to_reason fail(to_update *update, to_reason reason) {
    to_update_abandon(update, reason);
    update->state = TO_UPDATE_IDLE;
    update->reason = (uint8_t)reason;
    if (update->ended < TO_UPDATE_FREE_DOWNLOADS) {
        update->ended++;
    } else {
        count_failure(update);
    }
    to_update_say_reason(update, "ended", reason);
    return reason;
}

static void note_progress(to_update *update) { update->progress = update->uptime; }

static to_reason accept(to_update *update) {
    int model = update->written >> TO_UPDATE_MODEL & 1u;
    update->held = update->written >= 1u << TO_UPDATE_PORT;
    to_reason reason = to_update_commit(update);
    if (reason != TO_REASON_OK) {
        return fail(update, reason);
    }
    update->written = 0;
    update->ended = 0;
    update->state = model ? TO_UPDATE_PENDING : TO_UPDATE_IDLE;
    const char *const texts[] = {"update: verified", update->held ? ", a restart brings it" : "",
                                 model && !update->held ? ", to be tried" : "", "\n", NULL};
    to_update_say(update, texts);
    to_update_settle(update);
    return TO_REASON_OK;
}

/* Goes on after a step of the manifest processor. */
static to_reason advance(to_update *update, to_suit_step step) {
    to_update_want want;
    if (step == TO_SUIT_FAILED) {
        return fail(update, update->suit.reason);
    }
    if (step == TO_SUIT_DONE) {
        return accept(update);
    }
    update->state = TO_UPDATE_DOWNLOADING;
    update->etag_length = 0;
    note_progress(update);
    to_update_wants(update, &want);
    say_wanted(update, &want);
    return TO_REASON_OK;
}

/* Manifests */

/* Notes which manifest the attempt is about; its digest is not known before it is authenticated. */
static void note_manifest(to_update *update) {
    update->attempt = update->suit.digest != NULL ? update->suit.sequence : 0;
    update->has_manifest = update->suit.digest != NULL;
    if (update->has_manifest) {
        memcpy(update->manifest, update->suit.digest, TO_DIGEST_BYTES);
    }
}

static to_reason refuse(to_update *update, to_reason reason) {
    to_update_say_reason(update, "manifest refused", reason);
    return reason;
}

/* Whether this is the manifest whose model is tried or runs. */
static int is_known(const to_update *update) {
    const to_record *record = to_banks_record(&update->banks);
    return update->suit.digest != NULL && record->reason == TO_REASON_OK &&
           memcmp(record->manifest, update->suit.digest, TO_DIGEST_BYTES) == 0;
}

static to_reason process(to_update *update) {
    if (update->broken) {
        return refuse(update, TO_REASON_FLASH);
    }
    if (is_paused(update)) {
        return TO_REASON_RATE_LIMITED;
    }
    to_reason reason =
        to_suit_open(&update->suit, &update->platform, update->envelope, update->envelope_bytes);
    if (reason == TO_REASON_SEQUENCE_REPLAYED && is_known(update)) {
        count_failure(update); /* it costs a signature check like any other */
        return TO_REASON_OK;
    }
    if (reason == TO_REASON_OK && update->state != TO_UPDATE_IDLE) {
        return refuse(update, TO_REASON_BUSY);
    }
    if (reason != TO_REASON_OK) {
        count_failure(update);
        if (update->state == TO_UPDATE_IDLE) {
            update->reason = (uint8_t)reason;
            update->has_report = 1;
            note_manifest(update);
        }
        return refuse(update, reason);
    }
    if (update->ended < TO_UPDATE_FREE_DOWNLOADS) {
        update->failures = 0;
    }
    update->reason = TO_REASON_OK;
    update->has_report = 1;
    note_manifest(update);
    update->written = 0;
    to_suit_start(&update->suit, TO_SUIT_UPDATE);
    return advance(update, to_suit_run(&update->suit));
}

/* While a download goes on the envelope stays as it is: the same one may come again. */
static int repeat_part(to_update *update, uint32_t offset, const uint8_t *bytes, uint32_t size, int last) {
    if (size > update->envelope_bytes || offset > update->envelope_bytes - size ||
        (size > 0 && memcmp(update->envelope + offset, bytes, size) != 0) ||
        (last && offset + size != update->envelope_bytes)) {
        return TO_REASON_BUSY;
    }
    return TO_REASON_OK;
}

int to_update_manifest_part(to_update *update, uint32_t offset, const uint8_t *bytes, uint32_t size, int last,
                            uint32_t *wanted) {
    if (update->state == TO_UPDATE_DOWNLOADING) {
        return repeat_part(update, offset, bytes, size, last);
    }
    if (offset == 0) {
        update->envelope_bytes = 0;
        update->has_report = 0;
    } else if (offset != update->envelope_bytes) {
        *wanted = update->envelope_bytes;
        return TO_UPDATE_WRONG_OFFSET;
    }
    if (size > sizeof update->envelope - update->envelope_bytes) {
        update->envelope_bytes = 0;
        if (update->state == TO_UPDATE_IDLE) {
            update->reason = TO_REASON_TOO_LARGE;
            update->has_manifest = 0;
        }
        return (int)refuse(update, TO_REASON_TOO_LARGE);
    }
    if (size > 0) {
        memcpy(update->envelope + offset, bytes, size);
        update->envelope_bytes += size;
    }
    return last ? (int)process(update) : (int)TO_REASON_OK;
}

to_reason to_update_manifest(to_update *update, const uint8_t *envelope, uint32_t size) {
    uint32_t wanted;
    return (to_reason)to_update_manifest_part(update, 0, envelope, size, 1, &wanted);
}

/* Payloads */

int to_update_wants(const to_update *update, to_update_want *want) {
    const to_suit_fetch *fetch = &update->suit.fetch;
    if (update->state != TO_UPDATE_DOWNLOADING) {
        return 0;
    }
    want->component = fetch->component == TO_UPDATE_MODEL ? "model"
                      : fetch->component == TO_UPDATE_KEYS
                          ? "keys"
                          : update->port.components[fetch->component - TO_UPDATE_PORT].name;
    want->uri = fetch->uri.bytes;
    want->uri_length = (uint16_t)fetch->uri.size; /* at most TO_SUIT_URI_MAX */
    want->offset = fetch->received;
    want->size = fetch->size;
    return 1;
}

to_reason to_update_etag(to_update *update, const uint8_t *etag, uint8_t length) {
    if (update->state != TO_UPDATE_DOWNLOADING || length == 0 || length > sizeof update->etag) {
        return TO_REASON_OK;
    }
    if (update->etag_length == 0) {
        memcpy(update->etag, etag, length);
        update->etag_length = length;
    } else if (update->etag_length != length || memcmp(update->etag, etag, length) != 0) {
        return fail(update, TO_REASON_ETAG_CHANGED);
    }
    return TO_REASON_OK;
}

/* The beginning of a capsule, of which an interrupted download has stored more: goes on behind that. */
static int resume(to_update *update, const uint8_t *bytes, uint32_t size, int last) {
    static const uint8_t magic[4] = {'T', 'O', 'C', '1'};
    const to_suit_fetch *fetch = &update->suit.fetch;
    uint32_t stored = update->banks.offset;
    if (fetch->component != TO_UPDATE_MODEL || fetch->received > 0 || fetch->encrypted || last ||
        size >= stored || size < sizeof magic || memcmp(bytes, magic, sizeof magic) != 0 ||
        memcmp(to_banks_memory(&update->banks, to_banks_candidate(&update->banks)), bytes, size) != 0 ||
        !to_suit_resume(&update->suit, stored)) {
        return 0;
    }
    update->payload = TO_UPDATE_PAYLOAD_CAPSULE;
    update->position = stored;
    return 1;
}

int to_update_data(to_update *update, uint32_t offset, const uint8_t *bytes, uint32_t size, int last) {
    uint32_t wanted = update->suit.fetch.received;
    if (update->state != TO_UPDATE_DOWNLOADING || offset > wanted) {
        return TO_UPDATE_WRONG_OFFSET;
    }
    uint32_t known = wanted - offset;
    if (known > 0 && size <= known) {
        return last ? TO_UPDATE_WRONG_OFFSET : (int)TO_REASON_OK;
    }
    note_progress(update);
    if (resume(update, bytes, size, last)) {
        return TO_REASON_OK;
    }
    to_reason reason = TO_REASON_OK;
    if (size > known) {
        reason = to_suit_data(&update->suit, bytes + known, size - known);
    }
    if (reason != TO_REASON_OK || last) {
        reason = advance(update, to_suit_fetched(&update->suit, reason));
    }
    return (int)reason;
}

void to_update_cancel(to_update *update, to_reason reason) {
    if (update->broken) {
        return;
    }
    if (update->state == TO_UPDATE_PENDING || update->state == TO_UPDATE_TRIAL) {
        to_update_take_back(update, reason);
    } else if (update->state == TO_UPDATE_DOWNLOADING ||
               to_banks_record(&update->banks)->state == TO_STATE_DOWNLOAD) {
        fail(update, reason);
    }
}

/* Time */

void to_update_tick(to_update *update, uint32_t uptime) {
    update->uptime = uptime > 0 ? uptime : 1;
    if (update->state == TO_UPDATE_DOWNLOADING &&
        update->uptime - update->progress > TO_UPDATE_STALL_SECONDS) {
        fail(update, TO_REASON_TIMEOUT);
    }
}

void to_update_set_time(to_update *update, uint64_t unix_seconds) {
    update->unix_seconds = unix_seconds;
    update->clock = update->uptime;
}
