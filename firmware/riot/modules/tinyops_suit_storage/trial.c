/* What the application calls: which model runs, and the trial of a new one. */
#include <inttypes.h>
#include <string.h>

#include "flash.h"
#include "log.h"
#include "parts.h"
#include "tinyops/to_capsule.h"
#include "tinyops/to_update.h"
#include "tinyops_update.h"

static suit_storage_state *const own = &suit_storage_own;

void suit_storage_failed(const char *what, to_reason reason) {
    if (own->reason == TO_REASON_OK) {
        own->reason = reason;
    }
    LOG_WARNING("tinyops: %s: %s\n", what, to_update_reason_name(reason));
}

void flash_say(const char *why) { LOG_ERROR("tinyops: the region of updates cannot be used: %s\n", why); }

to_reason suit_storage_of_banks(to_banks_result result) {
    switch (result) {
    case TO_BANKS_OK:
        return TO_REASON_OK;
    case TO_BANKS_BUSY:
        return TO_REASON_BUSY;
    case TO_BANKS_SIZE:
    case TO_BANKS_OFFSET:
        return TO_REASON_IMAGE_SIZE;
    case TO_BANKS_DIGEST:
        return TO_REASON_IMAGE_DIGEST;
    case TO_BANKS_STATE:
        return TO_REASON_PAYLOAD_MISSING;
    case TO_BANKS_LOWERED:
        return TO_REASON_SEQUENCE_REPLAYED;
    default:
        return TO_REASON_FLASH;
    }
}

int suit_storage_is_waiting(void) {
    uint8_t state = to_banks_record(&own->banks)->state;
    return state == TO_STATE_PENDING || state == TO_STATE_TRY;
}

static const uint8_t *image_of(uint8_t bank) {
    return bank == TO_BANK_FACTORY ? to_device_model.plan->factory : to_banks_memory(&own->banks, bank);
}

static void use(uint8_t bank) {
    own->running = bank;
    to_capsule_activate(&to_device_model, image_of(bank));
    to_device_model.init(to_device_model.state);
    uint32_t sequence = bank == TO_BANK_FACTORY ? suit_storage_first_sequence()
                                                : to_banks_record(&own->banks)->images[bank].sequence;
    LOG_INFO("tinyops: running %s, sequence %" PRIu32 "%s\n", to_device_model.name, sequence,
             bank == TO_BANK_FACTORY ? ", of the firmware" : "");
}

/* The confirmed model, or what stands in for it when its bank is damaged, or it was made for other firmware
 * or is older than the one in this firmware. */
static uint8_t trusted_bank(void) {
    uint8_t bank = own->usable ? to_banks_running(&own->banks) : TO_BANK_FACTORY;
    if (bank == TO_BANK_FACTORY) {
        return bank;
    }
    const to_image *image = &to_banks_record(&own->banks)->images[bank];
    if (image->sequence < suit_storage_first_sequence() ||
        to_capsule_verify(to_device_model.plan, image_of(bank), image->bytes) != TO_REASON_OK) {
        return TO_BANK_FACTORY;
    }
    return bank;
}

void suit_storage_open(void) {
    if (own->opened) {
        return;
    }
    own->opened = 1;
    own->running = TO_BANK_FACTORY;
    const to_flash *flash = tinyops_update_flash();
    own->usable = flash != NULL && to_flash_valid(flash) &&
                  to_banks_open(&own->banks, flash, to_journal_page_bytes(flash)) == TO_BANKS_OK;
    if (own->usable) {
        own->reason = (to_reason)to_banks_record(&own->banks)->reason;
    } else {
        suit_storage_failed("the flash region cannot be used", TO_REASON_FLASH);
    }
    use(trusted_bank());
}

void suit_storage_revert(to_reason reason) {
    own->undo = own->running == to_banks_candidate(&own->banks);
    own->health_left = 0;
    own->reason = TO_REASON_OK;
    suit_storage_failed("the new model is undone", reason);
    if (to_banks_revert(&own->banks, (uint8_t)reason) != TO_BANKS_OK) {
        own->given_up = 1; /* the next start counts another try, or finds them used up */
        suit_storage_failed("the journal cannot be written", TO_REASON_FLASH);
    }
}

static void confirm(void) {
    if (to_banks_confirm(&own->banks) != TO_BANKS_OK) { /* it is tried again after the next inference */
        own->health_left = 1;
        suit_storage_failed("the journal cannot be written", TO_REASON_FLASH);
        return;
    }
    own->health_left = 0;
    own->reason = TO_REASON_OK;
    LOG_INFO("tinyops: confirmed sequence %" PRIu32 "\n",
             own->banks.journal.newest.images[own->running].sequence);
}

static to_reason begin_try(void) {
    const to_record *record = to_banks_record(&own->banks);
    switch (to_banks_try(&own->banks)) {
    case TO_BANKS_OK:
        return to_capsule_verify(to_device_model.plan, image_of(record->bank),
                                 record->images[record->bank].bytes);
    case TO_BANKS_DIGEST:
        return TO_REASON_IMAGE_DIGEST;
    case TO_BANKS_TRIES_USED:
        return record->flags & TO_RECORD_TESTED ? TO_REASON_HEALTH : TO_REASON_SELF_TEST_HANG;
    default:
        return TO_REASON_FLASH;
    }
}

static void try_model(void) {
    uint8_t bank = to_banks_candidate(&own->banks);
    to_reason reason = begin_try();
    if (reason == TO_REASON_OK) {
        reason = to_capsule_self_test(&to_device_model, image_of(bank), NULL);
    }
    if (reason == TO_REASON_OK && CONFIG_TINYOPS_SUIT_STORAGE_HEALTH_INFERENCES > 0) {
        reason = suit_storage_of_banks(to_banks_tested(&own->banks));
    }
    if (reason != TO_REASON_OK) {
        suit_storage_revert(reason);
        to_device_model.init(to_device_model.state);
        return;
    }
    use(bank);
    own->health_left = CONFIG_TINYOPS_SUIT_STORAGE_HEALTH_INFERENCES;
    if (own->health_left == 0) {
        confirm();
    }
}

int tinyops_suit_storage_poll(void) {
    int changed = 0;
    if (!mutex_trylock(&own->lock)) {
        return 0;
    }
    suit_storage_open();
    if (own->undo) {
        own->undo = 0;
        use(trusted_bank());
        changed = 1;
    } else if (own->usable && suit_storage_is_waiting() && own->health_left == 0 && !own->given_up) {
        try_model();
        changed = 1;
    }
    mutex_unlock(&own->lock);
    return changed;
}

void tinyops_suit_storage_inference_done(void) {
    if (CONFIG_TINYOPS_SUIT_STORAGE_HEALTH_INFERENCES == 0 || !mutex_trylock(&own->lock)) {
        return;
    }
    if (own->health_left > 0 && --own->health_left == 0) {
        confirm();
    }
    mutex_unlock(&own->lock);
}
