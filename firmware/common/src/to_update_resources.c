#include "tinyops/to_cbor.h"
#include "tinyops/to_resources.h"
#include "tinyops/to_update.h"

/* A refusal: "reason 8: bad-signature", which people and programs can read. */
static void refuse(to_coap_writer *reply, to_reason reason) {
    static const struct {
        uint8_t reason, code;
    } codes[] = {
        {TO_REASON_TOO_LARGE, TO_COAP_TOO_LARGE},
        {TO_REASON_SLOT_TOO_SMALL, TO_COAP_TOO_LARGE},
        {TO_REASON_BUSY, TO_COAP_CONFLICT},
        {TO_REASON_ETAG_CHANGED, TO_COAP_CONFLICT},
        {TO_REASON_RATE_LIMITED, TO_COAP_TOO_MANY_REQUESTS},
        {TO_REASON_NO_AUTHENTICATION, TO_COAP_FORBIDDEN},
        {TO_REASON_UNKNOWN_KEY, TO_COAP_FORBIDDEN},
        {TO_REASON_REVOKED_KEY, TO_COAP_FORBIDDEN},
        {TO_REASON_WRONG_ALGORITHM, TO_COAP_FORBIDDEN},
        {TO_REASON_BAD_SIGNATURE, TO_COAP_FORBIDDEN},
        {TO_REASON_SEQUENCE_REPLAYED, TO_COAP_FORBIDDEN},
        {TO_REASON_UNAUTHORIZED, TO_COAP_FORBIDDEN},
        {TO_REASON_UNSUPPORTED, TO_COAP_NOT_IMPLEMENTED},
        {TO_REASON_FLASH, TO_COAP_INTERNAL_ERROR},
    };
    uint8_t code = TO_COAP_BAD_REQUEST;
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        if (codes[i].reason == reason) {
            code = codes[i].code;
        }
    }
    to_coap_set_code(reply, code);
    if (code == TO_COAP_TOO_LARGE && reason == TO_REASON_TOO_LARGE) {
        to_coap_put_uint(reply, TO_COAP_OPTION_SIZE1, TO_UPDATE_ENVELOPE_MAX);
    }
    to_coap_put_text(reply, "reason ");
    to_coap_put_number(reply, reason);
    to_coap_put_text(reply, ": ");
    to_coap_put_text(reply, to_update_reason_name(reason));
}

/* 4.08 with the offset to go on from, as a CBOR unsigned integer. */
static void answer_offset(to_coap_writer *reply, uint32_t offset) {
    to_cbor out;
    uint8_t bytes[5];
    to_cbor_start(&out, bytes, 0, sizeof bytes);
    to_cbor_uint(&out, offset);
    to_coap_set_code(reply, TO_COAP_INCOMPLETE);
    to_coap_put_uint(reply, TO_COAP_OPTION_CONTENT_FORMAT, TO_COAP_FORMAT_CBOR);
    uint8_t *payload = to_coap_put_payload(reply, out.total);
    for (uint32_t i = 0; payload != NULL && i < out.total; i++) {
        payload[i] = bytes[i];
    }
}

/* Whether the request's payload is a block of a body; else the answer is written. */
static int is_block(const to_coap_message *request, to_coap_writer *reply) {
    const to_coap_block *block1 = &request->block1;
    uint32_t block = to_coap_block_bytes(block1->szx);
    if (request->query_count > 0) {
        to_resources_fail(reply, TO_COAP_BAD_REQUEST, "takes no query");
    } else if (request->content_format.present && request->content_format.value != TO_COAP_FORMAT_OCTETS &&
               request->content_format.value != TO_COAP_FORMAT_CBOR) {
        to_resources_fail(reply, TO_COAP_UNSUPPORTED_FORMAT, "allowed: 42 and 60");
    } else if (block1->present &&
               (block1->more ? request->payload.length != block : request->payload.length > block)) {
        to_resources_fail(reply, TO_COAP_BAD_REQUEST, "payload is not of the block's size");
    } else {
        return 1;
    }
    return 0;
}

/* The answer to a block that was taken. */
static void answer_block(const to_coap_message *request, to_coap_writer *reply) {
    const to_coap_block *block1 = &request->block1;
    to_coap_set_code(reply, block1->more ? TO_COAP_CONTINUE : TO_COAP_CHANGED);
    if (block1->present) {
        to_coap_put_block(reply, TO_COAP_OPTION_BLOCK1, block1->number, block1->more, block1->szx);
    }
}

static uint32_t block_offset(const to_coap_message *request) {
    return request->block1.number * to_coap_block_bytes(request->block1.szx);
}

/* PUT /suit/manifest */

static void put_manifest(to_device *device, const to_coap_message *request, to_coap_writer *reply) {
    if (!is_block(request, reply)) {
        return;
    }
    if (!request->block1.more) { /* signature checks take their time */
        to_device_answer_separately(device, request, reply);
    }
    uint32_t wanted;
    uint32_t whole = request->size1.present ? request->size1.value : 0;
    int result = whole > TO_UPDATE_ENVELOPE_MAX /* refused as if all of it had come */
                     ? to_update_manifest_part(device->update, 0, NULL, whole, 0, &wanted)
                     : to_update_manifest_part(device->update, block_offset(request), request->payload.bytes,
                                               request->payload.length, !request->block1.more, &wanted);
    if (result == TO_UPDATE_WRONG_OFFSET) {
        answer_offset(reply, wanted);
    } else if (result != TO_REASON_OK) {
        refuse(reply, (to_reason)result);
    } else {
        answer_block(request, reply);
    }
}

/* PUT /suit/payload */

static void put_payload(to_device *device, const to_coap_message *request, to_coap_writer *reply) {
    to_update_want want;
    if (!is_block(request, reply)) {
        return;
    }
    if (!to_update_wants(device->update, &want)) {
        to_resources_fail(reply, TO_COAP_CONFLICT, "no payload is wanted");
        return;
    }
    if (block_offset(request) != want.offset) {
        answer_offset(reply, want.offset);
        return;
    }
    if (!request->block1.more) { /* so does the digest of an image */
        to_device_answer_separately(device, request, reply);
    }
    int result = TO_REASON_OK;
    if (request->etag.length > 0) {
        result = (int)to_update_etag(device->update, request->etag.bytes, (uint8_t)request->etag.length);
    }
    if (result == TO_REASON_OK) {
        result = to_update_data(device->update, want.offset, request->payload.bytes, request->payload.length,
                                !request->block1.more);
    }
    if (result != TO_REASON_OK) {
        refuse(reply, (to_reason)result);
    } else {
        answer_block(request, reply);
    }
}

/* POST /suit/trigger */

static void post_trigger(to_device *device, const to_coap_message *request, to_coap_writer *reply) {
    if (device->trigger == NULL) {
        refuse(reply, TO_REASON_UNSUPPORTED);
        return;
    }
    if (!is_block(request, reply)) {
        return;
    }
    if (request->block1.more || request->block1.number > 0) {
        refuse(reply, TO_REASON_TOO_LARGE);
        return;
    }
    to_reason reason =
        device->trigger(device->trigger_context, request->payload.bytes, request->payload.length);
    if (reason != TO_REASON_OK) {
        refuse(reply, reason);
    } else {
        to_coap_set_code(reply, TO_COAP_CHANGED);
    }
}

/* POST /suit/cancel */

static void post_cancel(to_device *device, const to_coap_message *request, to_coap_writer *reply) {
    (void)request;
    to_update_cancel(device->update, TO_REASON_CANCELLED);
    to_coap_set_code(reply, TO_COAP_CHANGED);
}

/* GET /suit/state, /suit/report, /status */

static uint32_t write_state(const to_device *device, uint8_t *window, uint32_t skip, uint32_t size) {
    return to_update_describe_state(device->update, window, skip, size);
}

static void get_state(to_device *device, const to_coap_message *request, to_coap_writer *reply) {
    to_resources_answer_body(device, request, reply, TO_COAP_CONTENT, TO_COAP_FORMAT_CBOR, write_state);
}

static uint32_t write_report(const to_device *device, uint8_t *window, uint32_t skip, uint32_t size) {
    return to_update_describe_report(device->update, window, skip, size);
}

static void get_report(to_device *device, const to_coap_message *request, to_coap_writer *reply) {
    if (write_report(device, NULL, 0, 0) == 0) {
        to_resources_fail(reply, TO_COAP_NOT_FOUND, "no manifest yet");
        return;
    }
    to_resources_answer_body(device, request, reply, TO_COAP_CONTENT, TO_COAP_FORMAT_CBOR, write_report);
}

static uint32_t write_status(const to_device *device, uint8_t *window, uint32_t skip, uint32_t size) {
    return to_update_describe_status(device->update, window, skip, size);
}

static void get_status(to_device *device, const to_coap_message *request, to_coap_writer *reply) {
    to_resources_answer_body(device, request, reply, TO_COAP_CONTENT, TO_COAP_FORMAT_SENML_CBOR,
                             write_status);
}

const to_resource to_update_resources[] = {
    {"status", TO_COAP_GET, 0, TO_COAP_FORMAT_SENML_CBOR, get_status},
    {"suit/cancel", TO_COAP_POST, 0, 0, post_cancel},
    {"suit/manifest", TO_COAP_PUT, 1, 0, put_manifest},
    {"suit/payload", TO_COAP_PUT, 1, 0, put_payload},
    {"suit/report", TO_COAP_GET, 0, TO_COAP_FORMAT_CBOR, get_report},
    {"suit/state", TO_COAP_GET, 0, TO_COAP_FORMAT_CBOR, get_state},
    {"suit/trigger", TO_COAP_POST, 1, 0, post_trigger},
    {NULL, 0, 0, 0, NULL},
};
