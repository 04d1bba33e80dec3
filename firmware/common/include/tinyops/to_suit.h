/* The SUIT manifest processor (draft-ietf-suit-manifest-37, with conditions of suit-update-management-14 and
 * encrypted payloads of suit-firmware-encryption-26), for updates in bounded static memory.
 *
 *   to_suit_open(&suit, &platform, envelope, size);     authenticates, then validates everything; no side
 * effects to_suit_start(&suit, TO_SUIT_UPDATE); step = to_suit_run(&suit); while (step == TO_SUIT_FETCH) {
 *       ... get the payload at suit.fetch.uri, and for each piece of it: to_suit_data(&suit, bytes, size);
 *       step = to_suit_fetched(&suit, TO_REASON_OK);
 *   }
 *   step is TO_SUIT_DONE: every image is verified; or TO_SUIT_FAILED: suit.reason says why
 *
 * The envelope stays in the caller's memory, unchanged, until the caller is done: everything here points into
 * it.
 *
 * What is stricter here than the standard asks:
 * - Everything is deterministic CBOR; unknown members, commands and parameters are refused before anything
 * runs, in sequences that would not run, too. The maps of COSE headers alone may be in any order.
 * - Vendor and class conditions for a component stand before any directive that acts on it (write, fetch,
 * copy, swap, invoke), outside of try-each and run-sequence: in the shared sequence or in the same one.
 * - The sequence number must be below 2^32, and above the last one of *every* component that the manifest
 * names.
 * - Every component that was fetched, copied or swapped must match its digest afterwards, in the same
 * procedure.
 * - An image matches when both its digest and, where the manifest tells it, its size are right.
 * - Copy and swap need another component as their source.
 * - No two contents are decrypted with the same key and IV.
 * - A key must have a role that each named component accepts, the manifest's own id included.
 * - A list of component indexes ascends. Where a manifest has several components, every outermost sequence
 * begins with a component index.
 *
 * Where the standard leaves it open:
 * - Parameters are cleared at the start of a procedure, not between its sequences. The shared sequence runs
 * before each of them.
 * - After try-each and run-sequence the components are selected that were before.
 * - A try-each of which no alternative succeeds fails as the last condition did, and softly where that would
 * be.
 * - A command without its parameter fails for good, in try-each, too; so does a directive.
 *
 * Not supported, and refused as command-unknown: dependencies (suit-trust-domains), waiting, custom commands,
 * fetch arguments. Digests other than SHA-256 are refused as unsupported. */
#ifndef TINYOPS_TO_SUIT_H
#define TINYOPS_TO_SUIT_H

#include <stdint.h>

#include "tinyops/to_cbor_read.h"
#include "tinyops/to_cose.h"
#include "tinyops/to_reason.h"

#ifndef TO_SUIT_COMPONENTS
#define TO_SUIT_COMPONENTS 4u /* of one manifest; more are too-large */
#endif
#if TO_SUIT_COMPONENTS > 8
#error TO_SUIT_COMPONENTS: components are bits of a byte
#endif

#define TO_SUIT_DEPTH 4u     /* command sequences within one another, the outermost included */
#define TO_SUIT_TRIES 8u     /* alternatives of one try-each */
#define TO_SUIT_URI_MAX 128u /* bytes of a URI */
#define TO_SUIT_CONTENTS 4u  /* encrypted payloads of one procedure */
#define TO_SUIT_UUID_BYTES 16u

/* A place that this device lets manifests change. */
typedef struct to_suit_component {
    to_span id;              /* CBOR array of byte strings: ["model"] is 81 45 6d 6f 64 65 6c */
    const uint8_t *vendor;   /* UUID of 16 bytes */
    const uint8_t *class_id; /* UUID of 16 bytes */
    uint32_t capacity;       /* bytes of the largest image */
    uint8_t counter;         /* of sequence numbers: 0 to 31; components may share one */
    uint8_t roles; /* a manifest must be signed with a key of one of these: TO_COSE_SIGNER, TO_COSE_ROOT */
} to_suit_component;

/* What the device is, and does. To invoke what was accepted before, let `sequence` return 0. Components are
 * indexes into `components` here, not into the manifest's list. A callback that is NULL makes the commands
 * that need it fail as unsupported (use_before: no-clock); `sequence` must be there. Callbacks return
 * TO_REASON_OK or why not, and must not call to_suit functions. */
typedef struct to_suit_platform {
    const to_suit_component *components;
    uint32_t component_count; /* at most 32 */
    const to_cose_keys *keys;
    const uint8_t *device_id; /* UUID of 16 bytes, or NULL: no manifest for one device matches */
    void *context;

    /* 1 and the last accepted sequence number of the counter, or 0 when none was accepted yet. */
    int (*sequence)(void *context, uint32_t counter, uint32_t *last);

    /* Seconds since 1970, trusted: 1, or 0 when the time is not known. */
    int (*now)(void *context, uint64_t *seconds);

    /* The component's content, in place: what was stored in this procedure when something was, else what is
     * installed. `size` is the one that the manifest expects, 0 when it does not tell. */
    to_reason (*image)(void *context, uint32_t component, uint32_t size, to_span *image);

    /* A new image begins; its size as the manifest tells it (image-size), 0 when it does not: it may be fewer
     * or more bytes when it is a delta or encrypted. Then writes in ascending order, without gaps, and the
     * end, which makes the image readable. */
    to_reason (*begin)(void *context, uint32_t component, uint32_t size);
    to_reason (*write)(void *context, uint32_t component, const uint8_t *bytes, uint32_t size);
    to_reason (*end)(void *context, uint32_t component);

    to_reason (*swap)(void *context, uint32_t component, uint32_t source);
    to_reason (*invoke)(void *context, uint32_t component, to_span arguments);

    /* Whether the component's next image goes to this slot: TO_REASON_OK or TO_REASON_SLOT_MISMATCH. */
    to_reason (*slot)(void *context, uint32_t component, uint32_t slot);

    to_reason (*battery)(void *context, uint64_t milliwatt_hours);
    to_reason (*authorized)(void *context, int32_t priority);

    /* The version of what is installed: up to 8 numbers, `*count` of them. */
    to_reason (*version)(void *context, uint32_t component, int32_t numbers[8], uint32_t *count);
} to_suit_platform;

typedef enum {
    TO_SUIT_UPDATE, /* payload-fetch, install, validate */
    TO_SUIT_INVOKE  /* validate, load, invoke */
} to_suit_procedure;

typedef enum { TO_SUIT_DONE, TO_SUIT_FETCH, TO_SUIT_FAILED } to_suit_step;

/* A payload that the caller is to get. */
typedef struct to_suit_fetch {
    to_span uri;           /* UTF-8 */
    uint32_t component;    /* of the device */
    uint32_t size;         /* image-size, or 0 */
    uint32_t received;     /* bytes of the payload so far */
    const uint8_t *digest; /* 32 bytes of the image, or NULL */
    uint8_t encrypted;
} to_suit_fetch;

/* Where the last failure was, for a suit-report. */
typedef struct to_suit_place {
    uint8_t section;   /* key of the manifest's member: 3 (common) for the shared sequence; 0: none */
    uint8_t component; /* index into the manifest's list */
    uint16_t offset;   /* of the command from the beginning of the section, in bytes */
} to_suit_place;

/* Parameters of one component, as far as they are set (bits of `set`). */
typedef struct to_suit_parameters {
    uint32_t set;
    uint32_t slot;
    uint32_t size;
    int32_t priority;
    const uint8_t *vendor;
    const uint8_t *class_id;
    const uint8_t *device_id;
    const uint8_t *digest;
    to_span content;
    to_span encryption_info;
    to_span uri;
    to_span invoke_args;
    to_span version;
    uint64_t use_before;
    uint64_t battery;
    uint8_t source; /* manifest index */
} to_suit_parameters;

/* A command sequence that runs. */
typedef struct to_suit_frame {
    const uint8_t *at; /* the next command */
    const uint8_t *end;
    to_span argument;           /* of the directive that runs it: to begin again with the next component */
    const uint8_t *alternative; /* of a try-each: the next one */
    uint8_t alternatives;       /* that are left */
    uint8_t kind;
    uint8_t soft;    /* a failed condition ends this sequence alone */
    uint8_t loop;    /* manifest components that it is still to be run for, as bits */
    uint8_t current; /* the one that it runs for */
    uint8_t outer;   /* the selection around it, to be restored */
} to_suit_frame;

/* Command sequences of a manifest. */
enum {
    TO_SUIT_SHARED,
    TO_SUIT_VALIDATE,
    TO_SUIT_LOAD,
    TO_SUIT_INVOCATION,
    TO_SUIT_PAYLOAD_FETCH,
    TO_SUIT_INSTALL,
    TO_SUIT_SEQUENCES
};

typedef struct to_suit {
    const to_suit_platform *platform;
    to_suit_procedure procedure;
    to_reason reason;
    to_suit_place place;
    to_suit_fetch fetch;

    /* Of the manifest; valid after to_suit_open. */
    uint32_t sequence;
    const uint8_t *digest; /* SHA-256 of the manifest, 32 bytes */
    uint32_t signer;       /* index of the key */
    uint32_t counters;     /* that must be set to `sequence` when the update is accepted, as bits */
    to_span reference_uri;
    to_span version;     /* set-version: CBOR array of integers */
    uint32_t components; /* how many */
    uint8_t device_index[TO_SUIT_COMPONENTS];

    /* Inner state. */
    to_span payloads; /* the envelope's integrated payloads: keys and values */
    uint32_t payload_count;
    to_span sequences[TO_SUIT_SEQUENCES]; /* CBOR arrays; bytes is NULL when there is none */
    to_suit_parameters parameters[TO_SUIT_COMPONENTS];
    to_suit_frame frames[TO_SUIT_DEPTH];
    const uint8_t *section; /* the outermost sequence that runs */
    uint8_t depth;
    uint8_t stage;      /* sequences done */
    uint8_t selected;   /* manifest components that commands apply to, as bits */
    uint8_t waiting;    /* components that the suspended fetch is still to be done for */
    uint8_t fetching;   /* manifest component of suit->fetch */
    uint8_t unverified; /* components that were stored and not matched since */
    uint8_t contents;   /* decrypted so far */
    uint8_t fingerprints[TO_SUIT_CONTENTS][8];
    to_cose_decryption decryption;
} to_suit;

/* Authenticates the envelope and validates all of it. TO_REASON_OK, or why it was refused; then nothing has
 * happened and `suit` is not to be started. */
to_reason to_suit_open(to_suit *suit, const to_suit_platform *platform, const uint8_t *envelope,
                       uint32_t size);

/* Before to_suit_run: clears all parameters. */
void to_suit_start(to_suit *suit, to_suit_procedure procedure);

/* Goes on until everything is done, has failed, or a payload is to be fetched. Integrated payloads ("#name")
 * are stored without asking. */
to_suit_step to_suit_run(to_suit *suit);

/* The next bytes of the payload in suit->fetch; decrypts them. TO_REASON_OK or why the fetch cannot succeed:
 * then to_suit_fetched is to be called with that reason. */
to_reason to_suit_data(to_suit *suit, const uint8_t *bytes, uint32_t size);

/* Before the first to_suit_data: the first `offset` bytes of the payload are stored already, from an earlier
 * run of the same manifest. 0 when that is impossible (encrypted), then it begins at 0. */
int to_suit_resume(to_suit *suit, uint32_t offset);

/* The payload is complete (TO_REASON_OK), or could not be got; goes on as to_suit_run. */
to_suit_step to_suit_fetched(to_suit *suit, to_reason reason);

#endif
