/* Signed updates: what a device accepts, stores, tries and undoes.
 *
 *   idle -> (manifest authenticated and valid) -> downloading -> (all images verified) -> pending
 *        -> (inference boundary: golden vectors pass) -> trial -> (health window) -> idle, confirmed
 *
 * Whatever fails on the way leaves the model running that ran before, says why on the console, and is told by
 * to_update_get_status until the next attempt. Pushed and pulled updates go through the same functions:
 *
 *   to_update_manifest(update, envelope, size);
 *   while (to_update_wants(update, &want)) {
 *       ... get bytes of want.uri from want.offset on ...
 *       to_update_data(update, want.offset, bytes, size, last);
 *   }
 *   at every inference boundary, and whenever nothing else is to be done: to_update_poll(update);
 *   after every inference: to_update_inference_done(update);
 *
 * One thread; nothing here blocks except on flash, on a signature check, and in to_update_poll on the
 * self-test. */
#ifndef TINYOPS_TO_UPDATE_H
#define TINYOPS_TO_UPDATE_H

#include <stddef.h>
#include <stdint.h>

#include "tinyops/to_banks.h"
#include "tinyops/to_capsule.h"
#include "tinyops/to_coap.h"
#include "tinyops/to_cose.h"
#include "tinyops/to_delta.h"
#include "tinyops/to_flash.h"
#include "tinyops/to_journal.h"
#include "tinyops/to_model.h"
#include "tinyops/to_reason.h"
#include "tinyops/to_suit.h"

/* The longest envelope, in bytes; RAM. With HSS/LMS signatures 4096. */
#ifndef TO_UPDATE_ENVELOPE_MAX
#define TO_UPDATE_ENVELOPE_MAX 1024u
#endif

/* Inferences that a new model must do before it is confirmed; 0: the self-test is enough. */
#ifndef TO_UPDATE_HEALTH_INFERENCES
#define TO_UPDATE_HEALTH_INFERENCES 8u
#endif

/* Refused signatures in a row before a pause; then 2, 4, 8, ... 512 seconds, or attempts where there is no
 * clock. */
#define TO_UPDATE_FREE_ATTEMPTS 3u
#define TO_UPDATE_PAUSE_MAX 512u

/* Downloads in a row that end without an accepted update, before each makes such a pause: a flash wears. */
#define TO_UPDATE_FREE_DOWNLOADS 64u

/* A download without any progress for so long is ended; only where there is a clock. */
#define TO_UPDATE_STALL_SECONDS 86400u

/* to_update_data: the offset is another than the wanted one; nothing was changed. */
#define TO_UPDATE_WRONG_OFFSET (-1)

#define TO_UPDATE_DEVICE_ID_MAX 32u

typedef enum { TO_UPDATE_IDLE, TO_UPDATE_DOWNLOADING, TO_UPDATE_PENDING, TO_UPDATE_TRIAL } to_update_state;

/* A component besides the model that manifests may replace, such as the firmware: a place of the port's.
 * Functions return TO_REASON_OK or why they failed. */
typedef struct to_update_component {
    const char *name;        /* for people */
    to_span id;              /* component id: CBOR array of byte strings */
    const uint8_t *class_id; /* UUID of 16 bytes */
    uint8_t counter;         /* of its sequence number, TO_UPDATE_COUNTER_FREE or above; each once */
    uint32_t capacity;       /* bytes */
    to_reason (*begin)(void *context, uint32_t size);                      /* size: 0 when it is not known */
    to_reason (*write)(void *context, const uint8_t *data, uint32_t size); /* in order */

    /* The image is complete; where it is, read in place for its digest. */
    to_reason (*end)(void *context, to_span *image);

    /* The image was verified: to be marked so, durably, with the sequence number that it becomes valid with.
     */
    to_reason (*stage)(void *context, const uint8_t digest[32], uint32_t sequence);

    /* The device has accepted `sequence`, durably: the image that was staged with it is to be handed over (to
     * a boot loader), any other staged one is to be forgotten. Called after each acceptance and at each
     * start; must be idempotent. A model that comes with the image is tried after the next start. */
    void (*settle)(void *context, uint32_t sequence);

    void (*abandon)(void *context); /* what was begun and not staged, or staged and not accepted */
    void *context;
} to_update_component;

/* Sequence counters of the journal. */
enum { TO_UPDATE_COUNTER_MODEL, TO_UPDATE_COUNTER_KEYS, TO_UPDATE_COUNTER_FREE };

/* Components besides "model" and "keys". */
#define TO_UPDATE_COMPONENTS 2u

/* The longest list of revoked keys, in bytes: a CBOR array of key ids. */
#define TO_UPDATE_KEYS_MAX 128u

/* What the firmware was built with, generated beside the model's binding. */
typedef struct to_update_config {
    to_model *model; /* the updatable one, with its factory capsule */
    const to_cose_key *keys;
    const uint8_t *vendor;   /* 16 bytes */
    const uint8_t *class_id; /* 16 bytes */
    uint8_t key_count;
    uint32_t first_sequence; /* of the factory model: what is not above it is refused */
} to_update_config;

extern const to_update_config to_device_update;

/* What the target provides. */
typedef struct to_update_port {
    const to_flash *flash;
    const uint8_t *device_id; /* UUID of 16 bytes, for manifests that are for this device alone; or NULL */
    uint8_t component_count;
    const to_update_component *components;
    void (*say)(const char *const *texts); /* a line of console text, in pieces; the list ends with NULL */
} to_update_port;

/* Defined by the port of updatable firmware (-DTO_UPDATABLE); `say` is set by who starts the device. */
void to_port_update(to_update_port *port);

/* What the device needs next: bytes from `offset` on of the payload at `uri`. */
typedef struct to_update_want {
    const char *component;
    const uint8_t *uri; /* UTF-8, not terminated; valid until the next call that changes the update */
    uint16_t uri_length;
    uint32_t offset; /* it may jump ahead: what an interrupted download has stored is not wanted again */
    uint32_t size;   /* of the image, 0: not told; a delta of it or its ciphertext have other sizes */
} to_update_want;

typedef struct to_update_status {
    to_update_state state;
    to_reason reason;        /* of the last attempt; TO_REASON_OK as long as it goes well */
    uint32_t sequence;       /* of the running model */
    uint32_t accepted;       /* a manifest for the model must be above it */
    uint32_t attempt;        /* sequence number of the last attempt; 0: none, or it was not authentic */
    uint8_t tries;           /* of the model that is pending or on trial */
    uint8_t bank;            /* the running model's: 0, 1, or TO_BANK_FACTORY */
    uint32_t health_left;    /* inferences until the model on trial is confirmed */
    const uint8_t *manifest; /* digest of the last attempt's manifest, 32 bytes; NULL: not known */
    const uint8_t *model;    /* digest of the running model's capsule, 32 bytes */
    uint32_t reverted;       /* models that were undone since the start */
    uint32_t inferences;     /* since the start */
} to_update_status;

typedef struct to_update to_update;

/* Reads the journal, ends what a reset cut off, and makes the model run that is to run: the confirmed one,
 * or the one before it, or the factory's. A model on trial is tried again by the next to_update_poll. */
void to_update_start(to_update *update, const to_update_config *config, const to_update_port *port);

/* A complete envelope. It is copied into the update, and read there as long as the update goes on. While
 * another update goes on it is TO_REASON_BUSY; the same manifest again is TO_REASON_OK. Integrated payloads
 * are stored at once. */
to_reason to_update_manifest(to_update *update, const uint8_t *envelope, uint32_t size);

/* The same in parts, that are put in order into the update's own buffer: a part of an envelope of at most
 * TO_UPDATE_ENVELOPE_MAX bytes. The part with `last` processes it. TO_UPDATE_WRONG_OFFSET and the offset in
 * `wanted` when the part is not the next one; offset 0 starts anew. */
int to_update_manifest_part(to_update *update, uint32_t offset, const uint8_t *bytes, uint32_t size, int last,
                            uint32_t *wanted);

/* 1 and `want` is filled in as long as data are wanted, else 0. */
int to_update_wants(const to_update *update, to_update_want *want);

/* Bytes of the wanted payload; `last` with the last ones, of which there may be none. Bytes before the wanted
 * offset are passed over, bytes behind it are TO_UPDATE_WRONG_OFFSET, which changes nothing. With the last
 * ones the image is verified and the manifest goes on: to_update_wants may then name another payload, or the
 * state is TO_UPDATE_PENDING. Any other failure has ended the update and erased what it stored. */
int to_update_data(to_update *update, uint32_t offset, const uint8_t *bytes, uint32_t size, int last);

/* The payload's entity tag, with each block where the transport has one: another one than before ends the
 * update (TO_REASON_ETAG_CHANGED). Call it before to_update_data. */
to_reason to_update_etag(to_update *update, const uint8_t *etag, uint8_t length);

/* At an inference boundary: tries the new model, undoes one whose tries are used up. Returns 1 when arena and
 * state were overwritten, whichever model runs then: give them their initial values. */
int to_update_poll(to_update *update);

/* Whether to_update_poll has something to do, which overwrites arena and state. */
int to_update_is_due(const to_update *update);

/* After each inference with the running model: ends the health window. */
void to_update_inference_done(to_update *update);

/* Ends a download, or takes a pending update back: `reason` is TO_REASON_CANCELLED, or why the transport
 * gives up (TO_REASON_TIMEOUT, TO_REASON_PAYLOAD_MISSING). What was stored is erased. A model on trial is
 * undone. Nothing to end is no failure. */
void to_update_cancel(to_update *update, to_reason reason);

/* Seconds since the start, at least once in a while where there is a clock: for pauses and stalled
 * downloads. */
void to_update_tick(to_update *update, uint32_t uptime);

/* The trusted time, in seconds since 1970: for manifests that expire. It runs on with to_update_tick. */
void to_update_set_time(to_update *update, uint64_t unix_seconds);

void to_update_get_status(const to_update *update, to_update_status *status);

/* "idle", "downloading", "pending", "trial" */
const char *to_update_state_name(to_update_state state);

/* The slug of a reason, such as "bad-signature". */
const char *to_update_reason_name(to_reason reason);

/* The bodies of GET /suit/state, /suit/report and /status (docs/protocol.md), each also good for a check-in:
 * stores the bytes [skip, skip + size) in `window`, and returns the bytes of the whole body. */
uint32_t to_update_describe_state(const to_update *update, uint8_t *window, uint32_t skip, uint32_t size);
uint32_t to_update_describe_report(const to_update *update, uint8_t *window, uint32_t skip, uint32_t size);
uint32_t to_update_describe_status(const to_update *update, uint8_t *window, uint32_t skip, uint32_t size);

/* Its fields are private. */
struct to_update {
    const to_update_config *config;
    to_update_port port;
    to_cose_keys keys;
    to_suit_platform platform;
    to_suit_component components[2 + TO_UPDATE_COMPONENTS];
    to_banks banks;
    to_suit suit;
    to_delta delta;
    uint64_t unix_seconds; /* at `clock`; 0: not known */
    uint32_t clock;        /* the uptime when the time was set */
    uint32_t uptime;       /* 0: there is no clock */
    uint32_t progress;     /* uptime of the last progress of the download */
    uint32_t pause_left;   /* without a clock: attempts that are refused unseen */
    uint32_t pause_end;    /* with a clock: uptime */
    uint32_t attempt;
    uint32_t reverted;
    uint32_t inferences;
    uint32_t health_left;
    uint32_t envelope_bytes;              /* received so far */
    uint32_t position;                    /* bytes of the image that were decoded */
    to_span images[TO_UPDATE_COMPONENTS]; /* of the port's components, where they were written */
    uint8_t written;                      /* components, as bits */
    uint8_t payload;                      /* kind of the model's payload, once its first bytes are known */
    uint8_t magic_bytes;
    uint8_t magic[4];
    uint8_t state;
    uint8_t reason;
    uint8_t running;  /* bank */
    uint8_t broken;   /* the flash region cannot be used */
    uint8_t undo;     /* the model on trial was taken back, but still runs */
    uint8_t held;     /* the pending model waits for a restart */
    uint8_t failures; /* refused manifests in a row */
    uint8_t ended;    /* downloads in a row that came to nothing */
    uint8_t has_manifest;
    uint8_t has_report;
    uint8_t etag_length;
    uint8_t etag[TO_COAP_ETAG_MAX];
    uint8_t running_digest[TO_DIGEST_BYTES];
    uint8_t manifest[TO_DIGEST_BYTES];
    uint8_t revocation[TO_UPDATE_KEYS_MAX];
    uint32_t revocation_bytes;
    uint32_t revoked; /* keys that the manifest revokes */
    uint8_t envelope[TO_UPDATE_ENVELOPE_MAX];
};

#endif
