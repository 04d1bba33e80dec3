#include "tinyops/to_cbor.h"
#include "to_update_parts.h"

void to_update_get_status(const to_update *update, to_update_status *status) {
    const to_record *record = to_banks_record(&update->banks);
    int factory = update->running == TO_BANK_FACTORY;
    status->state = (to_update_state)update->state;
    status->reason = (to_reason)update->reason;
    status->sequence = factory ? update->config->first_sequence : record->images[update->running].sequence;
    status->accepted = to_update_accepted(update, TO_UPDATE_COUNTER_MODEL);
    status->attempt = update->attempt;
    status->tries =
        update->state == TO_UPDATE_PENDING || update->state == TO_UPDATE_TRIAL ? record->tries : 0;
    status->bank = update->running;
    status->health_left = update->health_left;
    status->manifest = update->has_manifest ? update->manifest : NULL;
    status->model = update->running_digest;
    status->reverted = update->reverted;
    status->inferences = update->inferences;
}

const char *to_update_state_name(to_update_state state) {
    static const char *const names[] = {"idle", "downloading", "pending", "trial"};
    return names[state];
}

static void put_digest(to_cbor *out, const uint8_t *digest) {
    if (digest != NULL) {
        to_cbor_bytes(out, digest, TO_DIGEST_BYTES);
    } else {
        to_cbor_null(out);
    }
}

typedef struct {
    const char *name;
    uint32_t value;
} named;

static void put_named(to_cbor *out, const named *values, size_t count) {
    for (; count > 0; count--, values++) {
        to_cbor_text(out, values->name);
        to_cbor_uint(out, values->value);
    }
}

static void put_want(to_cbor *out, const to_update *update) {
    to_update_want want;
    if (!to_update_wants(update, &want)) {
        to_cbor_null(out);
        return;
    }
    to_cbor_map(out, 4);
    to_cbor_text(out, "uri");
    to_cbor_utf8(out, want.uri, want.uri_length);
    const named values[] = {{"size", want.size}, {"offset", want.offset}};
    put_named(out, values, sizeof values / sizeof *values);
    to_cbor_text(out, "component");
    to_cbor_text(out, want.component);
}

/* GET /suit/state; keys are in the order of deterministic CBOR. */
uint32_t to_update_describe_state(const to_update *update, uint8_t *window, uint32_t skip, uint32_t size) {
    to_update_status status;
    to_cbor out;
    to_update_get_status(update, &status);
    to_cbor_start(&out, window, skip, size);
    to_cbor_map(&out, 12);
    to_cbor_text(&out, "bank");
    if (status.bank == TO_BANK_FACTORY) {
        to_cbor_null(&out);
    } else {
        to_cbor_uint(&out, status.bank);
    }
    to_cbor_text(&out, "want");
    put_want(&out, update);
    to_cbor_text(&out, "model");
    put_digest(&out, status.model);
    to_cbor_text(&out, "state");
    to_cbor_text(&out, to_update_state_name(status.state));
    const named before[] = {{"tries", status.tries},
                            {"health", status.health_left},
                            {"reason", (uint32_t)status.reason},
                            {"attempt", status.attempt},
                            {"accepted", status.accepted}};
    put_named(&out, before, sizeof before / sizeof *before);
    to_cbor_text(&out, "manifest");
    put_digest(&out, status.manifest);
    const named after[] = {{"reverted", status.reverted}, {"sequence", status.sequence}};
    put_named(&out, after, sizeof after / sizeof *after);
    return out.total;
}

/* GET /suit/report: draft-ietf-suit-report. */

enum {
    REPORT_CBOR_PARSE = 1,
    REPORT_ALGORITHM = 3,
    REPORT_UNAUTHORISED,
    REPORT_COMMAND,
    REPORT_COMPONENT,
    REPORT_COMPONENT_UNAUTHORISED,
    REPORT_PARAMETER,
    REPORT_CONDITION = 10,
    REPORT_OPERATION,
    REPORT_INVOKE_PENDING
};

/* By reason; others are failed operations. */
static const uint8_t report_reasons[TO_REASON_COUNT] = {
    [TO_REASON_TRUNCATED] = REPORT_CBOR_PARSE,
    [TO_REASON_MALFORMED_CBOR] = REPORT_CBOR_PARSE,
    [TO_REASON_NOT_DETERMINISTIC] = REPORT_CBOR_PARSE,
    [TO_REASON_NESTING] = REPORT_CBOR_PARSE,
    [TO_REASON_TOO_LARGE] = REPORT_CBOR_PARSE,
    [TO_REASON_WRONG_ALGORITHM] = REPORT_ALGORITHM,
    [TO_REASON_NO_AUTHENTICATION] = REPORT_UNAUTHORISED,
    [TO_REASON_UNKNOWN_KEY] = REPORT_UNAUTHORISED,
    [TO_REASON_REVOKED_KEY] = REPORT_UNAUTHORISED,
    [TO_REASON_BAD_SIGNATURE] = REPORT_UNAUTHORISED,
    [TO_REASON_MANIFEST_DIGEST] = REPORT_UNAUTHORISED,
    [TO_REASON_COMMAND_UNKNOWN] = REPORT_COMMAND,
    [TO_REASON_MANIFEST_VERSION] = REPORT_COMMAND,
    [TO_REASON_UNSUPPORTED] = REPORT_COMMAND,
    [TO_REASON_COMPONENT_UNKNOWN] = REPORT_COMPONENT,
    [TO_REASON_UNAUTHORIZED] = REPORT_COMPONENT_UNAUTHORISED,
    [TO_REASON_PARAMETER_MISSING] = REPORT_PARAMETER,
    [TO_REASON_PARAMETER_MALFORMED] = REPORT_PARAMETER,
    [TO_REASON_SEQUENCE_REPLAYED] = REPORT_CONDITION,
    [TO_REASON_EXPIRED] = REPORT_CONDITION,
    [TO_REASON_NO_CLOCK] = REPORT_CONDITION,
    [TO_REASON_VENDOR_MISMATCH] = REPORT_CONDITION,
    [TO_REASON_CLASS_MISMATCH] = REPORT_CONDITION,
    [TO_REASON_DEVICE_MISMATCH] = REPORT_CONDITION,
    [TO_REASON_IMAGE_DIGEST] = REPORT_CONDITION,
    [TO_REASON_ABORTED] = REPORT_CONDITION,
    [TO_REASON_SLOT_MISMATCH] = REPORT_CONDITION,
    [TO_REASON_BATTERY] = REPORT_CONDITION,
    [TO_REASON_VERSION_MISMATCH] = REPORT_CONDITION,
    [TO_REASON_IMAGE_PRESENT] = REPORT_CONDITION,
};

static unsigned report_reason(to_reason reason) {
    return report_reasons[reason] != 0 ? report_reasons[reason] : (unsigned)REPORT_OPERATION;
}

static void put_suit_digest(to_cbor *out, const uint8_t *digest) {
    to_cbor_array(out, 2);
    to_cbor_int(out, -16);
    to_cbor_bytes(out, digest, digest != NULL ? TO_DIGEST_BYTES : 0);
}

/* The model that runs, as a measured property of its component. */
static void put_claims(to_cbor *out, const to_update *update) {
    static const uint8_t suit_digest[] = {0x58, 0x24, 0x82, 0x2F, 0x58, 0x20}; /* bstr, array, -16, bstr */
    const to_span id = update->components[TO_UPDATE_MODEL].id;
    to_cbor_array(out, 1);
    to_cbor_map(out, 2);
    to_cbor_uint(out, 0);
    to_cbor_item(out, id.bytes, id.size);
    to_cbor_uint(out, 3);
    to_cbor_item(out, suit_digest, sizeof suit_digest);
    to_cbor_item(out, update->running_digest, TO_DIGEST_BYTES);
}

static void put_result(to_cbor *out, const to_update *update) {
    static const to_suit_place nowhere;
    const to_suit_place *place = update->has_report ? &update->suit.place : &nowhere;
    int pending = update->state != TO_UPDATE_IDLE;
    to_reason reason = (to_reason)update->reason;
    if (reason == TO_REASON_OK && !pending) {
        to_cbor_true(out);
        return;
    }
    to_cbor_map(out, 3);
    to_cbor_uint(out, 5);
    to_cbor_uint(out, (uint32_t)reason);
    to_cbor_uint(out, 6);
    to_cbor_array(out, 5);
    to_cbor_array(out, 0);
    to_cbor_uint(out, place->section);
    to_cbor_uint(out, place->offset);
    to_cbor_uint(out, place->component);
    to_cbor_map(out, 0);
    to_cbor_uint(out, 7);
    to_cbor_uint(out, pending ? REPORT_INVOKE_PENDING : report_reason(reason));
}

uint32_t to_update_describe_report(const to_update *update, uint8_t *window, uint32_t skip, uint32_t size) {
    if (update->state == TO_UPDATE_DOWNLOADING || !(update->has_report || update->has_manifest)) {
        return 0;
    }
    to_span uri = update->has_report ? update->suit.reference_uri : to_span_of(NULL, 0);
    to_cbor out;
    to_cbor_start(&out, window, skip, size);
    to_cbor_map(&out, 3);
    to_cbor_uint(&out, 3);
    put_claims(&out, update);
    to_cbor_uint(&out, 4);
    put_result(&out, update);
    to_cbor_uint(&out, 99);
    to_cbor_array(&out, 2);
    to_cbor_utf8(&out, uri.bytes, uri.size);
    put_suit_digest(&out, update->has_manifest ? update->manifest : NULL);
    return out.total;
}

/* GET /status: SenML (RFC 8428). */

enum { SENML_NAME = 0, SENML_UNIT, SENML_VALUE, SENML_STRING, SENML_BASE_NAME = -2 };

static void put_string(to_cbor *out, const char *name, const char *value) {
    to_cbor_uint(out, SENML_NAME);
    to_cbor_text(out, name);
    to_cbor_uint(out, SENML_STRING);
    to_cbor_text(out, value);
}

/* The first record names the device. */
static void put_base(to_cbor *out, const to_update *update) {
    static const char prefix[] = "urn:uuid:";
    char name[sizeof prefix + 2 * 16 + 4 + 1];
    char *at = name;
    for (const char *c = prefix; *c != '\0'; c++) {
        *at++ = *c;
    }
    for (unsigned i = 0; i < 16; i++) {
        uint8_t byte = update->port.device_id[i];
        *at++ = "0123456789abcdef"[byte >> 4];
        *at++ = "0123456789abcdef"[byte & 15u];
        if (i == 3 || i == 5 || i == 7 || i == 9) {
            *at++ = '-';
        }
    }
    *at++ = ':';
    *at = '\0';
    to_cbor_int(out, SENML_BASE_NAME);
    to_cbor_text(out, name);
}

uint32_t to_update_describe_status(const to_update *update, uint8_t *window, uint32_t skip, uint32_t size) {
    to_update_status status;
    to_cbor out;
    to_update_get_status(update, &status);
    const named values[] = {{"sequence", status.sequence}, {"attempt", status.attempt},
                            {"bank", status.bank},         {"tries", status.tries},
                            {"reverted", status.reverted}, {"inferences", status.inferences},
                            {"uptime", update->uptime}};
    uint32_t count = sizeof values / sizeof *values - (update->uptime == 0);
    int named_device = update->port.device_id != NULL;
    to_cbor_start(&out, window, skip, size);
    to_cbor_array(&out, 2 + count);
    to_cbor_map(&out, named_device ? 3 : 2);
    if (named_device) {
        put_base(&out, update);
    }
    put_string(&out, "state", to_update_state_name(status.state));
    to_cbor_map(&out, 2);
    put_string(&out, "reason", to_update_reason_name(status.reason));
    for (uint32_t i = 0; i < count; i++) {
        to_cbor_map(&out, i == 6 ? 3 : 2);
        to_cbor_uint(&out, SENML_NAME);
        to_cbor_text(&out, values[i].name);
        if (i == 6) { /* the uptime */
            to_cbor_uint(&out, SENML_UNIT);
            to_cbor_text(&out, "s");
        }
        to_cbor_uint(&out, SENML_VALUE);
        to_cbor_uint(&out, values[i].value);
    }
    return out.total;
}
