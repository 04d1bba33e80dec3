/* A storage backend for RIOT's own SUIT module (sys/suit): the model's capsule in two banks with a journal.
 *
 * RIOT reads the manifest (draft-ietf-suit-manifest-09, which `tinyops update pack --dialect riot-legacy`
 * writes), verifies its signature and fetches the capsule; this backend decides what is stored and what comes
 * to run:
 *
 *   - nothing is stored but for an authenticated manifest of a new sequence number that names size and
 * SHA-256;
 *   - nothing is accepted whose digest in flash is another one, or that is no capsule for this firmware,
 * whatever RIOT says of it; what fails is erased;
 *   - image and sequence number are accepted in one record, when all other components are installed;
 *   - a new model is tried on its golden vectors before it counts, up to three times, and undone when it
 * fails;
 *   - at every power cut the confirmed model, or the firmware's own, runs.
 *
 * The component is ["model"] (CONFIG_TINYOPS_SUIT_STORAGE_LOCATION). The application does this:
 *
 *   suit_storage_init_all();                        once, before the first inference
 *   if (tinyops_suit_storage_poll()) { ... }        between inferences, in the thread that makes them
 *   tinyops_suit_storage_inference_done();          after each of them
 *
 *   void suit_worker_done_cb(int result) {          when a manifest is done
 *       tinyops_suit_storage_done(result);
 *   } */
#ifndef TINYOPS_SUIT_STORAGE_H
#define TINYOPS_SUIT_STORAGE_H

#include <stdint.h>

#include "suit/storage.h"
#include "tinyops/to_banks.h"
#include "tinyops/to_model.h"
#include "tinyops/to_reason.h"

/* The component's id, each of its parts after a slash. */
#ifndef CONFIG_TINYOPS_SUIT_STORAGE_LOCATION
#define CONFIG_TINYOPS_SUIT_STORAGE_LOCATION "/model"
#endif

/* The sequence number of the firmware's own model: manifests must be above it. */
#ifndef CONFIG_TINYOPS_SUIT_STORAGE_FIRST_SEQUENCE
#define CONFIG_TINYOPS_SUIT_STORAGE_FIRST_SEQUENCE 0
#endif

/* Inferences that a new model must do before it is confirmed; 0: the self-test is enough. */
#ifndef CONFIG_TINYOPS_SUIT_STORAGE_HEALTH_INFERENCES
#define CONFIG_TINYOPS_SUIT_STORAGE_HEALTH_INFERENCES 0
#endif

typedef struct tinyops_suit_storage_status {
    uint32_t accepted;    /* a manifest must be above it */
    uint32_t sequence;    /* of the running model */
    uint32_t attempt;     /* of the last manifest that was to be stored */
    uint32_t health_left; /* inferences until the model on trial is confirmed */
    uint8_t bank;         /* the running model's: 0, 1, or TO_BANK_FACTORY */
    uint8_t state;        /* to_state of to_journal.h: of the last update */
    uint8_t usable;       /* the flash region can be used */
    to_reason reason;     /* why the last update came to nothing; TO_REASON_OK: it did not */
} tinyops_suit_storage_status;

/* For suit_storage_find_by_id and the like; RIOT knows it by itself. */
extern suit_storage_t *const tinyops_suit_storage;

/* Tries a model that has come, or goes back from one that was taken back. Never waits for an update that is
 * just being stored. Returns 1 when arena and state were overwritten, whichever model runs then: the state
 * has its initial value, a front end is to be started anew. */
int tinyops_suit_storage_poll(void);

/* Counts an inference with the running model: ends the health window. */
void tinyops_suit_storage_inference_done(void);

/* The end of a manifest, with RIOT's result: accepts a model that waited for other components, and erases one
 * that was not accepted. Without this call neither happens before the next manifest, or ever. */
void tinyops_suit_storage_done(int result);

void tinyops_suit_storage_get_status(tinyops_suit_storage_status *status);

#endif
