/* What the two files of the module share. */
#ifndef TINYOPS_SUIT_STORAGE_PARTS_H
#define TINYOPS_SUIT_STORAGE_PARTS_H

#include "mutex.h"
#include "tinyops_suit_storage.h"

/* All but `backend` is protected by `lock`. */
typedef struct {
    suit_storage_t backend;
    mutex_t lock;
    to_banks banks;
    uint32_t sequence;               /* of the manifest whose image is being stored */
    uint8_t digest[TO_DIGEST_BYTES]; /* that the image must have */
    uint32_t health_left;
    to_reason reason;
    uint8_t opened;
    uint8_t usable;
    uint8_t held;     /* the image is complete, and waits for other components */
    uint8_t undo;     /* the model that runs was taken back, or its bank is damaged */
    uint8_t given_up; /* nothing is tried before the next start: the journal could not say that it failed */
    uint8_t running;  /* bank */
} suit_storage_state;

extern suit_storage_state suit_storage_own;

/* The sequence number of the firmware's own model. */
static inline uint32_t suit_storage_first_sequence(void) {
    return CONFIG_TINYOPS_SUIT_STORAGE_FIRST_SEQUENCE;
}

/* These are called with the lock. */

/* Opens the region and makes the model run that is to run, between two inferences; later calls do nothing. */
void suit_storage_open(void);

/* Says why something failed, and keeps it when it is the first thing that did. */
void suit_storage_failed(const char *what, to_reason reason);

to_reason suit_storage_of_banks(to_banks_result result);

/* Whether an image waits for its trial, or is on trial. */
int suit_storage_is_waiting(void);

/* Gives up the image that waits for its trial or is on trial. */
void suit_storage_revert(to_reason reason);

#endif
