/* What the files of to_update.h share. */
#ifndef TINYOPS_TO_UPDATE_PARTS_H
#define TINYOPS_TO_UPDATE_PARTS_H

#include "tinyops/to_update.h"

/* Indexes of to_suit_platform's components. */
enum { TO_UPDATE_MODEL, TO_UPDATE_KEYS, TO_UPDATE_PORT };

enum { TO_UPDATE_PAYLOAD_UNKNOWN, TO_UPDATE_PAYLOAD_CAPSULE, TO_UPDATE_PAYLOAD_DELTA };

/* A line on the console; the list ends with NULL. */
void to_update_say(const to_update *update, const char *const *texts);

/* "update: WHAT: REASON" */
void to_update_say_reason(const to_update *update, const char *what, to_reason reason);

to_reason to_update_of_banks(to_banks_result result);

/* The accepted sequence number of a counter. */
uint32_t to_update_accepted(const to_update *update, uint32_t counter);

/* Fills in `platform`: what the manifest processor does with the components. */
void to_update_init_platform(to_update *update);

/* Makes what the manifest stored valid, all at once. */
to_reason to_update_commit(to_update *update);

/* Erases what the manifest stored. */
void to_update_abandon(to_update *update, to_reason reason);

/* Hands over what the accepted sequence numbers allow to, and forgets other staged images. */
void to_update_settle(to_update *update);

/* The model that is pending or on trial is undone; one on trial runs on until the next to_update_poll. */
void to_update_take_back(to_update *update, to_reason reason);

#endif
