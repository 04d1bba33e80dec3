/* Check-ins (docs/protocol.md): what the device tells its server, and what that answers. */
#include "tinyops/to_pull.h"

#if defined(TO_NETWORK) && defined(TO_UPDATABLE)

#include "tinyops/to_cbor.h"

#define REPORT_MAX 256u

/* Keys of a check-in and of its answer. */
enum {
    IN_DEVICE = 1,
    IN_CLASS,
    IN_SEQUENCE,
    IN_MODEL,
    IN_STATE,
    IN_REASON,
    IN_ATTEMPT,
    IN_VERSION,
    IN_PROTOCOL
};
enum { IN_REPORT = 10, IN_HEALTH = 11, IN_PROTOCOL_VERSION = 1 };
enum { HEALTH_INFERENCES = 1, HEALTH_REVERTED, HEALTH_LEFT };
enum { OUT_MANIFEST = 1, OUT_SECONDS, OUT_TIME };

static uint32_t write_health(to_cbor *out, const to_update_status *status) {
    to_cbor_map(out, 3);
    to_cbor_uint(out, HEALTH_INFERENCES);
    to_cbor_uint(out, status->inferences);
    to_cbor_uint(out, HEALTH_REVERTED);
    to_cbor_uint(out, status->reverted);
    to_cbor_uint(out, HEALTH_LEFT);
    to_cbor_uint(out, status->health_left);
    return out->total;
}

uint32_t to_pull_describe(const to_pull *pull, uint8_t *body, uint32_t size) {
    const to_pull_settings *settings = pull->settings;
    to_update_status status;
    to_update_get_status(pull->update, &status);
    uint8_t report[REPORT_MAX];
    uint32_t report_bytes = to_update_describe_report(pull->update, report, 0, sizeof report);
    int has_report = report_bytes > 0 && report_bytes <= sizeof report;

    to_cbor out;
    to_cbor_start(&out, body, 0, size);
    to_cbor_map(&out, has_report ? 11 : 10);
    to_cbor_uint(&out, IN_DEVICE);
    to_cbor_bytes(&out, settings->device_id, settings->device_id_bytes);
    to_cbor_uint(&out, IN_CLASS);
    to_cbor_bytes(&out, settings->class_id, 16);
    to_cbor_uint(&out, IN_SEQUENCE);
    to_cbor_uint(&out, status.sequence);
    to_cbor_uint(&out, IN_MODEL);
    to_cbor_bytes(&out, status.model, 32);
    to_cbor_uint(&out, IN_STATE);
    to_cbor_text(&out, to_update_state_name(status.state));
    to_cbor_uint(&out, IN_REASON);
    to_cbor_uint(&out, (uint64_t)status.reason);
    to_cbor_uint(&out, IN_ATTEMPT);
    to_cbor_uint(&out, status.attempt);
    to_cbor_uint(&out, IN_VERSION);
    to_cbor_text(&out, settings->version);
    to_cbor_uint(&out, IN_PROTOCOL);
    to_cbor_uint(&out, IN_PROTOCOL_VERSION);
    if (has_report) {
        to_cbor_uint(&out, IN_REPORT);
        to_cbor_bytes(&out, report, report_bytes);
    }
    to_cbor_uint(&out, IN_HEALTH);
    write_health(&out, &status);
    return out.total <= size ? out.total : 0;
}

int to_pull_read_answer(to_pull_answer *answer, const uint8_t *bytes, uint32_t size) {
    static const to_pull_answer nothing;
    to_cbor_reader in;
    to_span key = {NULL, 0};
    uint64_t seconds = 0;
    *answer = nothing;
    to_cbor_read(&in, to_span_of(bytes, size));
    uint32_t pairs = size > 0 ? to_cbor_get_map(&in) : 0;
    while (pairs-- > 0) {
        to_cbor_key(&in, &key);
        uint64_t name = to_cbor_get_uint(&in);
        if (name == OUT_MANIFEST) {
            answer->manifest = to_cbor_get_text(&in);
        } else if (name == OUT_SECONDS) {
            seconds = to_cbor_get_uint(&in);
        } else if (name == OUT_TIME) {
            answer->time = to_cbor_get_uint(&in);
        } else {
            to_cbor_skip(&in);
        }
    }
    answer->seconds = (uint32_t)(seconds < TO_PULL_SECONDS_MAX ? seconds : TO_PULL_SECONDS_MAX);
    return to_cbor_done(&in) == TO_REASON_OK;
}

#else

typedef int to_checkin_needs_a_network; /* a translation unit needs a declaration */

#endif
