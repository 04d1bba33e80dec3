#include <string.h>

#include "tinyops/to_sha256.h"
#include "tinyops/to_text.h"
#include "to_update_parts.h"

static const to_capsule_plan *plan_of(const to_update *update) { return update->config->model->plan; }

static const uint8_t *image_of(const to_update *update, uint8_t bank) {
    return bank == TO_BANK_FACTORY ? plan_of(update)->factory : to_banks_memory(&update->banks, bank);
}

static void use(to_update *update, uint8_t bank) {
    const uint8_t *image = image_of(update, bank);
    if (bank == TO_BANK_FACTORY) {
        to_sha256_of(image, plan_of(update)->factory_bytes, update->running_digest);
    } else {
        memcpy(update->running_digest, to_banks_record(&update->banks)->images[bank].digest, TO_DIGEST_BYTES);
    }
    update->running = bank;
    to_capsule_activate(update->config->model, image);
}

/* The confirmed model, or what stands in for it when its bank is damaged, or it was made for other firmware
 * or is older than the one in this firmware. */
static uint8_t trusted_bank(const to_update *update) {
    uint8_t bank = update->broken ? TO_BANK_FACTORY : to_banks_running(&update->banks);
    if (bank == TO_BANK_FACTORY) {
        return bank;
    }
    const to_image *image = &to_banks_record(&update->banks)->images[bank];
    to_reason reason = image->sequence < update->config->first_sequence
                           ? TO_REASON_SEQUENCE_REPLAYED
                           : to_capsule_verify(plan_of(update), image_of(update, bank), image->bytes);
    if (reason != TO_REASON_OK) {
        to_update_say_reason(update, "the confirmed model does not fit", reason);
        return TO_BANK_FACTORY;
    }
    return bank;
}

static void say_running(const to_update *update, const char *what) {
    to_number_text number;
    to_update_status status;
    to_update_get_status(update, &status);
    const char *const texts[] = {"update: ",
                                 what,
                                 " ",
                                 update->config->model->name,
                                 ", sequence ",
                                 to_text_decimal(&number, status.sequence),
                                 update->running == TO_BANK_FACTORY ? ", of the firmware"
                                 : update->running == 0             ? ", bank 0"
                                                                    : ", bank 1",
                                 "\n",
                                 NULL};
    to_update_say(update, texts);
}

void to_update_start(to_update *update, const to_update_config *config, const to_update_port *port) {
    memset(update, 0, sizeof *update);
    update->config = config;
    update->port = *port;
    uint32_t page = to_flash_valid(port->flash) ? to_journal_page_bytes(port->flash) : 0;
    to_banks_result opened = page == 0 ? TO_BANKS_LAYOUT : to_banks_open(&update->banks, port->flash, page);
    const to_record *record = to_banks_record(&update->banks);
    if (opened != TO_BANKS_OK) {
        update->broken = 1;
        update->reason = TO_REASON_FLASH;
        to_update_say_reason(update, "the flash region cannot be used", TO_REASON_FLASH);
    } else if (record->state != TO_STATE_EMPTY && record->state != TO_STATE_DOWNLOAD) {
        update->attempt = record->attempt;
        update->reason = record->reason;
        update->has_manifest = 1;
        memcpy(update->manifest, record->manifest, TO_DIGEST_BYTES);
    }
    to_update_init_platform(update);
    uint8_t bank = trusted_bank(update);
    if (!update->broken && bank != record->confirmed) {
        to_update_say_reason(update, "the confirmed model is damaged", TO_REASON_IMAGE_DIGEST);
    }
    use(update, bank);
    if (update->broken) {
        return;
    }
    if (record->state == TO_STATE_PENDING || record->state == TO_STATE_TRY) {
        update->state = TO_UPDATE_PENDING;
    }
    to_update_settle(update);
    say_running(update, "running");
}

/* The model on trial, or the one that was to be, is given up for good. */
static void revert(to_update *update, to_reason reason) {
    to_reason kept = to_update_of_banks(to_banks_revert(&update->banks, (uint8_t)reason));
    if (kept != TO_REASON_OK) { /* the next start counts another try, or finds them used up */
        to_update_say_reason(update, "the journal cannot be written", kept);
    }
    update->state = TO_UPDATE_IDLE;
    update->reason = (uint8_t)reason;
    update->health_left = 0;
    update->reverted++;
    to_update_say_reason(update, "the new model is undone", reason);
}

static void confirm(to_update *update) {
    to_reason reason = to_update_of_banks(to_banks_confirm(&update->banks));
    if (reason != TO_REASON_OK) { /* it is tried again after the next inference */
        update->health_left = 1;
        to_update_say_reason(update, "the journal cannot be written", reason);
        return;
    }
    update->state = TO_UPDATE_IDLE;
    update->reason = TO_REASON_OK;
    say_running(update, "confirmed:");
}

static void say_difference(const to_update *update, const to_capsule_difference *difference) {
    to_number_text vector, output, index;
    const char *const texts[] = {"update: golden vector ",
                                 to_text_decimal(&vector, difference->vector),
                                 ", output ",
                                 to_text_decimal(&output, difference->output),
                                 ": value ",
                                 to_text_decimal(&index, difference->index),
                                 " differs\n",
                                 NULL};
    to_update_say(update, texts);
}

static to_reason begin_try(to_update *update) {
    const to_record *record = to_banks_record(&update->banks);
    switch (to_banks_try(&update->banks)) {
    case TO_BANKS_OK:
        return to_capsule_verify(plan_of(update), image_of(update, record->bank),
                                 record->images[record->bank].bytes);
    case TO_BANKS_DIGEST:
        return TO_REASON_IMAGE_DIGEST;
    case TO_BANKS_TRIES_USED:
        return record->flags & TO_RECORD_TESTED ? TO_REASON_HEALTH : TO_REASON_SELF_TEST_HANG;
    default:
        return TO_REASON_FLASH;
    }
}

static void try_model(to_update *update) {
    to_capsule_difference difference;
    uint8_t bank = to_banks_candidate(&update->banks);
    to_reason reason = begin_try(update);
    if (reason == TO_REASON_OK) {
        reason = to_capsule_self_test(update->config->model, image_of(update, bank), &difference);
        if (reason == TO_REASON_SELF_TEST) {
            say_difference(update, &difference);
        }
    }
    if (reason == TO_REASON_OK && TO_UPDATE_HEALTH_INFERENCES > 0) {
        reason = to_update_of_banks(to_banks_tested(&update->banks));
    }
    if (reason != TO_REASON_OK) {
        revert(update, reason);
        return;
    }
    use(update, bank);
    update->state = TO_UPDATE_TRIAL;
    update->health_left = TO_UPDATE_HEALTH_INFERENCES;
    say_running(update, "self-test passed, on trial:");
    if (update->health_left == 0) {
        confirm(update);
    }
}

int to_update_is_due(const to_update *update) {
    return update->undo || (update->state == TO_UPDATE_PENDING && !update->held);
}

int to_update_poll(to_update *update) {
    if (!to_update_is_due(update)) {
        return 0;
    }
    if (update->undo) {
        update->undo = 0;
        use(update, trusted_bank(update));
        say_running(update, "running");
    } else {
        try_model(update);
    }
    return 1;
}

void to_update_inference_done(to_update *update) {
    update->inferences++;
    if (update->state == TO_UPDATE_TRIAL && --update->health_left == 0) {
        confirm(update);
    }
}

/* For to_update_cancel. */
void to_update_take_back(to_update *update, to_reason reason) {
    update->undo = update->state == TO_UPDATE_TRIAL;
    revert(update, reason);
}
