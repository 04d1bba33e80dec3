/* Power cuts in a life of updates, on the functions of to_update.h: before, in and after flash operations,
 * and around every durable step of a component besides the model, then again in the recovery.
 *
 * Standard input has the updates, one a line, which the device gets one after the other:
 *
 *   MANIFEST-HEX EXPECTED-MODEL-DIGEST-HEX KEYS FIRMWARE [URI PAYLOAD-HEX]...
 *
 * KEYS is the bitmap of keys that are revoked afterwards, FIRMWARE the sequence number of the firmware image
 * that is handed over then. Arguments: seed, every how many writes into a bank there is a cut (1: at each;
 * other operations are all cut), every how many of these scenarios are run. Prints the number of scenarios;
 * exits with 1 and tells of the first one in which anything went wrong. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../firmware/host/flash_file.h"
#include "tinyops/to_sha256.h"
#include "tinyops/to_update.h"

#define UPDATES 12u
#define PAYLOADS 3u
#define IMAGE_MAX 4096u
#define OPERATIONS (1u << 16)
#define SESSIONS 40u
#define CHUNK 1024u

typedef struct {
    uint8_t *bytes;
    uint32_t size;
} blob;

typedef struct {
    blob manifest;
    uint8_t model[TO_DIGEST_BYTES];
    uint32_t keys, firmware;
    uint32_t payload_count;
    char uri[PAYLOADS][64];
    blob payload[PAYLOADS];
} step;

/* What a reset does not change, besides the flash. */
typedef struct {
    uint32_t staged;    /* sequence number of the verified image; 0: none */
    uint32_t installed; /* of the one that was handed over */
} store;

static step steps[UPDATES];
static uint32_t step_count;
static to_update update;
static flash_file file, saved;
static store slot, saved_slot;
static uint8_t image[IMAGE_MAX];
static uint32_t received;
static uint32_t slot_steps;  /* so far */
static uint32_t slot_cut_at; /* the power goes there; 0: never */
static int slot_cut_after;
static uint32_t highest[TO_SEQUENCES], revoked;
static uint8_t factory[TO_DIGEST_BYTES];
static uint8_t interesting[OPERATIONS];
static uint64_t operations;
static int recording;
static const char *failure;
static char line[1 << 20];

static void require(int holds, const char *what) {
    if (!holds && failure == NULL) {
        failure = what;
    }
}

/* The flash, which notes what its operations are about */

static to_flash flash;

static int erase(void *context, uint32_t offset) {
    if (recording && operations < OPERATIONS) {
        interesting[operations++] = 1;
    }
    return file.flash.erase(context, offset);
}

static int write_units(void *context, uint32_t offset, const uint8_t *data, uint32_t size) {
    uint32_t journal = 2u * update.banks.journal.page_bytes;
    for (uint32_t at = 0; recording && at < size && operations < OPERATIONS; at += file.flash.write_bytes) {
        interesting[operations++] = offset < journal;
    }
    return file.flash.write(context, offset, data, size);
}

/* The firmware's place. What it does durably happens at once and whole, or not. */

static void durably(uint32_t *place, uint32_t value) {
    int cut = ++slot_steps == slot_cut_at;
    if (file.off || (cut && !slot_cut_after)) {
        file.off = 1;
        return;
    }
    *place = value;
    file.off = (uint8_t)(file.off | cut);
}

static to_reason slot_begin(void *context, uint32_t size) {
    (void)context;
    received = 0;
    if (slot.staged != 0) {
        durably(&slot.staged, 0);
    }
    return size <= IMAGE_MAX ? TO_REASON_OK : TO_REASON_SLOT_TOO_SMALL;
}

static to_reason slot_write(void *context, const uint8_t *data, uint32_t size) {
    (void)context;
    if (size > IMAGE_MAX - received) {
        return TO_REASON_SLOT_TOO_SMALL;
    }
    memcpy(image + received, data, size);
    received += size;
    return TO_REASON_OK;
}

static to_reason slot_end(void *context, to_span *content) {
    (void)context;
    *content = to_span_of(image, received);
    return TO_REASON_OK;
}

static to_reason slot_stage(void *context, const uint8_t digest[32], uint32_t sequence) {
    (void)context;
    (void)digest;
    durably(&slot.staged, sequence);
    return file.off ? TO_REASON_FLASH : TO_REASON_OK;
}

static void slot_settle(void *context, uint32_t sequence) {
    (void)context;
    if (slot.staged == 0) {
        return;
    }
    if (slot.staged == sequence && !file.off) {
        require(sequence == update.banks.journal.newest.sequences[TO_UPDATE_COUNTER_FREE],
                "an image was handed over that was not accepted");
        durably(&slot.installed, sequence);
    }
    if (!file.off) {
        durably(&slot.staged, 0);
    }
}

static void slot_abandon(void *context) { (void)slot_begin(context, 0); }

static const uint8_t firmware_id[] = {0x81, 0x48, 'f', 'i', 'r', 'm', 'w', 'a', 'r', 'e'};
static to_update_component component = {.name = "firmware",
                                        .id = {firmware_id, sizeof firmware_id},
                                        .counter = TO_UPDATE_COUNTER_FREE,
                                        .capacity = IMAGE_MAX,
                                        .begin = slot_begin,
                                        .write = slot_write,
                                        .end = slot_end,
                                        .stage = slot_stage,
                                        .settle = slot_settle,
                                        .abandon = slot_abandon};

/* What must hold at any time. */

static int is_model(const uint8_t *digest, uint32_t target) {
    const uint8_t *before = target > 0 ? steps[target - 1].model : factory;
    return memcmp(digest, before, TO_DIGEST_BYTES) == 0 ||
           memcmp(digest, steps[target].model, TO_DIGEST_BYTES) == 0;
}

static void check(uint32_t target) {
    to_update_status status;
    uint8_t digest[TO_DIGEST_BYTES];
    const to_record *record = to_banks_record(&update.banks);
    to_update_get_status(&update, &status);
    const to_capsule_plan *plan = to_device_update.model->plan;
    int is_factory = status.bank == TO_BANK_FACTORY;
    const uint8_t *running = is_factory ? plan->factory : to_banks_memory(&update.banks, status.bank);
    to_sha256_of(running, is_factory ? plan->factory_bytes : to_capsule_bytes(running), digest);
    require(memcmp(digest, status.model, sizeof digest) == 0,
            "the running model is not what it is said to be");
    require(is_model(digest, target), "a model runs that nobody wanted");
    for (uint32_t i = 0; i < TO_SEQUENCES; i++) {
        require(record->sequences[i] >= highest[i], "a sequence number went down");
        highest[i] = record->sequences[i];
    }
    require((revoked & ~record->revoked) == 0, "a revoked key is trusted again");
    revoked = record->revoked;
    uint32_t wanted = target > 0 ? steps[target - 1].keys : 0;
    require(record->revoked == wanted || record->revoked == steps[target].keys, "another key was revoked");
    uint32_t before = target > 0 ? steps[target - 1].firmware : 0;
    require(slot.installed == before || slot.installed == steps[target].firmware,
            "another image was handed over");
    require(slot.installed <= record->sequences[TO_UPDATE_COUNTER_FREE], "an image is ahead of its number");
    require(file.violations == 0, file.violation != NULL ? file.violation : "the flash was misused");
}

/* One session of the device, from a reset on */

static const blob *find(const step *of, const to_update_want *want) {
    for (uint32_t i = 0; i < of->payload_count; i++) {
        if (strlen(of->uri[i]) == want->uri_length && memcmp(of->uri[i], want->uri, want->uri_length) == 0) {
            return &of->payload[i];
        }
    }
    return NULL;
}

static void transfer(const step *of) {
    to_update_want want;
    while (!file.off && to_update_wants(&update, &want)) {
        const blob *payload = find(of, &want);
        if (payload == NULL || want.offset > payload->size) {
            require(0, "a payload is wanted that there is none of");
            return;
        }
        uint32_t left = payload->size - want.offset;
        uint32_t size = left < CHUNK ? left : CHUNK;
        if (to_update_data(&update, want.offset, payload->bytes + want.offset, size, size == left) != 0) {
            require(file.off, "good data were refused");
            return;
        }
    }
}

/* 1 when the update has come to rest. */
static int session(uint32_t target) {
    to_update_port port;
    to_update_status status;
    const step *of = &steps[target];
    memset(&port, 0, sizeof port);
    component.class_id = to_device_update.class_id;
    port.flash = &flash;
    port.component_count = 1;
    port.components = &component;
    to_update_start(&update, &to_device_update, &port);
    if (file.off) {
        return 0;
    }
    check(target);
    (void)to_update_poll(&update);
    for (uint32_t round = 0; round < 2; round++) {
        for (uint32_t i = 0; !file.off && i <= TO_UPDATE_HEALTH_INFERENCES; i++) {
            to_update_inference_done(&update);
        }
        if (file.off) {
            return 0;
        }
        check(target);
        if (round == 0) {
            to_reason reason = to_update_manifest(&update, of->manifest.bytes, of->manifest.size);
            if (!file.off && reason != TO_REASON_OK && reason != TO_REASON_SEQUENCE_REPLAYED &&
                reason != TO_REASON_REVOKED_KEY) {
                require(0, to_update_reason_name(reason));
                return 0;
            }
            transfer(of);
            (void)to_update_poll(&update);
        }
    }
    to_update_get_status(&update, &status);
    return status.state == TO_UPDATE_IDLE;
}

static void check_rest(uint32_t target) {
    const step *of = &steps[target];
    to_update_status status;
    to_update_get_status(&update, &status);
    require(memcmp(status.model, of->model, TO_DIGEST_BYTES) == 0, "the wrong model runs at rest");
    require(to_banks_record(&update.banks)->revoked == of->keys, "the wrong keys are revoked at rest");
    require(slot.installed == of->firmware, "the wrong image is handed over at rest");
    require(slot.staged == 0, "an image is left over at rest");
}

/* Sessions until the update is at rest; `seed` makes further cuts, none when it is 0. */
static void live(uint32_t target, uint64_t seed) {
    for (uint32_t i = 0; i < SESSIONS && failure == NULL; i++) {
        int rests = session(target);
        if (!file.off) {
            if (rests) {
                check_rest(target);
                return;
            }
            continue; /* a restart brings the rest */
        }
        flash_file_power_on(&file);
        slot_cut_at = 0;
        if (seed != 0 && i < 3 && flash_file_random(&seed) >> 63) {
            flash_cut cut = (flash_cut)(1u + (unsigned)(flash_file_random(&seed) >> 40) % 3u);
            flash_torn torn = (flash_torn)((unsigned)(flash_file_random(&seed) >> 40) % FLASH_TORN_KINDS);
            uint64_t at = 1u + (flash_file_random(&seed) >> 40) % (i == 0 ? 60u : 12u);
            flash_file_cut(&file, cut, at, torn, flash_file_random(&seed));
        }
    }
    require(failure != NULL, "it does not come to rest");
}

static void restore(void) {
    flash_file_copy(&file, &saved);
    slot = saved_slot;
    slot_steps = slot_cut_at = 0;
    memset(highest, 0, sizeof highest);
    revoked = 0;
}

static int report(uint32_t target, const char *what, uint64_t at, unsigned kind) {
    if (failure != NULL) {
        printf("update %u, cut %u at %s %lu: %s\n", (unsigned)target, kind, what, (unsigned long)at, failure);
        return 1;
    }
    return 0;
}

/* All cuts of one update, from the saved state on; then the update without a cut, whose end is saved. */
static int explore(uint32_t target, uint64_t seed, uint32_t stride, uint32_t sample,
                   unsigned long *scenarios) {
    restore();
    operations = 0;
    recording = 1;
    live(target, 0);
    recording = 0;
    uint64_t total = operations;
    uint32_t slot_total = slot_steps, chosen = 0;
    if (report(target, "none", 0, 0)) {
        return 1;
    }
    for (uint64_t at = 1; at <= total; at++) {
        for (unsigned kind = FLASH_CUT_BEFORE; kind <= FLASH_CUT_AFTER; kind++) {
            if ((!interesting[at - 1] && (at + seed + kind) % stride != 0) || chosen++ % sample != 0) {
                continue;
            }
            restore();
            flash_file_cut(&file, (flash_cut)kind, at, (flash_torn)((at + seed) % FLASH_TORN_KINDS),
                           seed + at);
            live(target, seed * 1000003u + at * 3u + kind);
            ++*scenarios;
            if (report(target, "operation", at, kind)) {
                return 1;
            }
        }
    }
    for (uint32_t at = 1; at <= slot_total; at++) {
        for (slot_cut_after = 0; slot_cut_after < 2; slot_cut_after++) {
            restore();
            slot_cut_at = at;
            live(target, seed * 1000003u + at);
            ++*scenarios;
            if (report(target, "step of the component", at, (unsigned)slot_cut_after)) {
                return 1;
            }
        }
    }
    restore();
    live(target, 0);
    flash_file_copy(&saved, &file);
    saved_slot = slot;
    return report(target, "none", 0, 0);
}

/* Input */

static uint32_t read_hex(const char *text, uint8_t *to) {
    uint32_t size = 0;
    unsigned byte;
    for (; sscanf(text, "%2x", &byte) == 1; text += 2) {
        to[size++] = (uint8_t)byte;
    }
    return size;
}

static blob read_blob(const char *text) {
    blob read = {malloc(strlen(text) / 2 + 1), 0};
    if (read.bytes == NULL) {
        exit(2);
    }
    read.size = read_hex(text, read.bytes);
    return read;
}

static void read_step(step *to) {
    const char *words[4];
    for (unsigned i = 0; i < 4; i++) {
        words[i] = strtok(i == 0 ? line : NULL, " \n");
        if (words[i] == NULL) {
            exit(2);
        }
    }
    to->manifest = read_blob(words[0]);
    (void)read_hex(words[1], to->model);
    to->keys = (uint32_t)strtoul(words[2], NULL, 10);
    to->firmware = (uint32_t)strtoul(words[3], NULL, 10);
    for (const char *uri = strtok(NULL, " \n"); uri != NULL; uri = strtok(NULL, " \n")) {
        const char *payload = strtok(NULL, " \n");
        if (payload == NULL || to->payload_count == PAYLOADS || strlen(uri) >= sizeof *to->uri) {
            exit(2);
        }
        memcpy(to->uri[to->payload_count], uri, strlen(uri) + 1);
        to->payload[to->payload_count++] = read_blob(payload);
    }
}

int main(int argc, char **argv) {
    char error[160];
    unsigned long scenarios = 0;
    if (argc != 4) {
        return 2;
    }
    while (step_count < UPDATES && fgets(line, sizeof line, stdin) != NULL) {
        read_step(&steps[step_count++]);
    }
    if (flash_file_open(&file, NULL, TO_FLASH_REGION_BYTES, TO_FLASH_ERASE_BYTES, TO_FLASH_WRITE_BYTES, 0xFF,
                        error, sizeof error) != 0 ||
        flash_file_open(&saved, NULL, TO_FLASH_REGION_BYTES, TO_FLASH_ERASE_BYTES, TO_FLASH_WRITE_BYTES, 0xFF,
                        error, sizeof error) != 0) {
        return 2;
    }
    flash = file.flash;
    flash.erase = erase;
    flash.write = write_units;
    to_sha256_of(to_device_update.model->plan->factory, to_device_update.model->plan->factory_bytes, factory);
    for (uint32_t i = 0; i < step_count; i++) {
        if (explore(i, strtoull(argv[1], NULL, 10), (uint32_t)strtoul(argv[2], NULL, 10),
                    (uint32_t)strtoul(argv[3], NULL, 10), &scenarios) != 0) {
            return 1;
        }
    }
    printf("%lu\n", scenarios);
    return 0;
}
