#include "tinyops/to_pull.h"

#if defined(TO_NETWORK) && defined(TO_UPDATABLE)

#include <string.h>

#include "tinyops/to_port.h"

enum { IDLE, CHECK_IN, MANIFEST, PAYLOAD };

#define REPORT_MS UINT64_C(1000)
#define PENDING_MS UINT64_C(100)
#define PAYLOAD_LIMIT (UINT32_C(1) << 28)
#define TAG_BYTES 16u /* that a ciphertext is longer than its image; the update itself keeps to its size */

/* What a server wants to hear of at once when it changes. */
static uint32_t fingerprint(const to_pull *pull) {
    to_update_status status;
    to_update_get_status(pull->update, &status);
    uint32_t hash = UINT32_C(2166136261);
    const uint32_t values[] = {(uint32_t)status.state, (uint32_t)status.reason, status.sequence,
                               status.attempt, status.reverted};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        hash = (hash ^ values[i]) * UINT32_C(16777619);
    }
    return hash;
}

static to_update_state state_of(const to_pull *pull) {
    to_update_status status;
    to_update_get_status(pull->update, &status);
    return status.state;
}

/* A period with up to a tenth less, so that a fleet that was switched on at once does not stay in step. */
static uint64_t spread(uint64_t milliseconds) {
    uint8_t random[2];
    to_port_random(random, sizeof random);
    return milliseconds - milliseconds / 10u * (uint32_t)(random[0] << 8 | random[1]) / 65536u;
}

/* Keeps the answer for when the exchange is over. */
static int take_answer(void *context, const to_fetch_part *part) {
    to_pull *pull = context;
    if (part->size > sizeof pull->answer || !part->last) {
        return 1;
    }
    if (part->size > 0) {
        memcpy(pull->answer, part->bytes, part->size);
    }
    pull->answer_length = (uint8_t)part->size;
    return 0;
}

/* Transfers */

static int take_manifest(void *context, const to_fetch_part *part) {
    to_pull *pull = context;
    uint32_t wanted;
    return to_update_manifest_part(pull->update, part->offset, part->bytes, part->size, part->last, &wanted);
}

static int take_payload(void *context, const to_fetch_part *part) {
    to_pull *pull = context;
    to_update_want want;
    if (part->etag.length > 0) {
        to_reason reason = to_update_etag(pull->update, part->etag.bytes, (uint8_t)part->etag.length);
        if (reason != TO_REASON_OK) {
            pull->has_changed = reason == TO_REASON_ETAG_CHANGED;
            return (int)reason;
        }
    }
    int result = to_update_data(pull->update, part->offset, part->bytes, part->size, part->last);
    /* The beginning has shown that more of it is there, from before a reset. */
    if (result == TO_REASON_OK && !part->last && to_update_wants(pull->update, &want) &&
        want.offset > part->offset + part->size) {
        pull->has_skipped = 1;
        return TO_UPDATE_WRONG_OFFSET;
    }
    return result;
}

/* The endpoint of a URI, which may be relative to the server of the manifest. */
static int locate(to_pull *pull, to_fetch_request *request, const uint8_t *text, size_t length) {
    if (!to_uri_parse(&request->uri, text, length)) {
        return 0;
    }
    if (request->uri.host[0] == '\0') {
        to_coap_slice path = request->uri.path;
        request->uri = pull->base;
        request->uri.path = path;
        request->server = pull->base_endpoint;
        return pull->has_base;
    }
    return to_port_resolve(request->uri.host, request->uri.port, &request->server) == 0;
}

static void set_base(to_pull *pull, const to_fetch_request *request) {
    pull->base = request->uri;
    pull->base_endpoint = request->server;
    pull->has_base = 1;
}

static void begin(to_pull *pull, uint8_t step) {
    pull->step = step;
    pull->due = 0;
    pull->attempts = 0;
    pull->progress = 0;
}

/* Nothing more to be done before the next check-in, which tells how it went. */
static void rest(to_pull *pull) {
    pull->step = IDLE;
    pull->restarts = 0;
}

static void schedule(to_pull *pull, uint64_t milliseconds) {
    pull->check_in_at = to_port_now_ms() + milliseconds;
}

/* Before the second attempt; doubled for each further one. */
static uint64_t pause_ms(const to_pull *pull) { return pull->settings->link.ack_timeout_ms; }

/* Again after a pause, which doubles as long as there is no progress. */
static void retry(to_pull *pull) {
    if (pull->fetch.offset > pull->progress) {
        pull->progress = pull->fetch.offset;
        pull->attempts = 0;
    }
    if (++pull->attempts >= TO_PULL_ATTEMPTS) {
        rest(pull);
        return;
    }
    pull->due = to_port_now_ms() + spread(pause_ms(pull) << (pull->attempts - 1u));
}

static void restart(to_pull *pull) {
    to_update_cancel(pull->update, TO_REASON_ETAG_CHANGED);
    if (++pull->restarts > TO_PULL_RESTARTS) {
        rest(pull);
        return;
    }
    uint8_t restarts = pull->restarts;
    begin(pull, MANIFEST);
    pull->restarts = restarts;
    pull->due = to_port_now_ms() + spread(pause_ms(pull));
}

static int start_check_in(to_pull *pull, to_fetch_request *request) {
    static const uint8_t path[] = "checkin";
    const char *server = pull->settings->server;
    if (!locate(pull, request, (const uint8_t *)server, strlen(server))) {
        return 0;
    }
    set_base(pull, request);
    request->uri.path.bytes = path;
    request->uri.path.length = sizeof path - 1;
    request->method = TO_COAP_POST;
    request->format = TO_COAP_FORMAT_CBOR;
    request->payload.bytes = pull->body;
    request->payload.length = (uint16_t)to_pull_describe(pull, pull->body, sizeof pull->body);
    request->limit = sizeof pull->answer;
    request->sink = take_answer;
    pull->reported = fingerprint(pull);
    pull->fetch.security = pull->settings->security;
    return to_fetch_start(&pull->fetch, request);
}

static int start_manifest(to_pull *pull, to_fetch_request *request) {
    if (!locate(pull, request, pull->manifest, pull->manifest_length)) {
        return 0;
    }
    set_base(pull, request);
    request->limit = TO_UPDATE_ENVELOPE_MAX;
    request->sink = take_manifest;
    return to_fetch_start(&pull->fetch, request);
}

static int start_payload(to_pull *pull, to_fetch_request *request) {
    to_update_want want;
    if (!to_update_wants(pull->update, &want) || want.uri_length > sizeof pull->payload) {
        return 0;
    }
    memcpy(pull->payload, want.uri, want.uri_length);
    if (!locate(pull, request, pull->payload, want.uri_length)) {
        return 0;
    }
    request->offset = want.offset;
    request->limit = want.size > 0 ? want.size + TAG_BYTES : PAYLOAD_LIMIT;
    request->sink = take_payload;
    return to_fetch_start(&pull->fetch, request);
}

static void start_step(to_pull *pull) {
    to_fetch_request request;
    memset(&request, 0, sizeof request);
    request.method = TO_COAP_GET;
    request.context = pull;
    pull->fetch.security = NULL;
    pull->fetch.offset = 0;
    pull->has_changed = 0;
    pull->has_skipped = 0;
    int started = pull->step == CHECK_IN   ? start_check_in(pull, &request)
                  : pull->step == MANIFEST ? start_manifest(pull, &request)
                                           : start_payload(pull, &request);
    if (!started) {
        retry(pull);
    } else {
        pull->due = UINT64_MAX;
    }
}

/* The manifest is in, or a payload: what next? */
static void go_on(to_pull *pull) {
    to_update_want want;
    if (!to_update_wants(pull->update, &want)) {
        rest(pull);
        return;
    }
    to_uri uri;
    if (!to_uri_parse(&uri, want.uri, want.uri_length)) {
        to_update_cancel(pull->update, TO_REASON_PARAMETER_MALFORMED);
        rest(pull);
        return;
    }
    uint8_t restarts = pull->restarts;
    begin(pull, PAYLOAD);
    pull->restarts = restarts;
    pull->progress = want.offset;
}

static void begin_manifest(to_pull *pull, const uint8_t *uri, size_t length) {
    memcpy(pull->manifest, uri, length);
    pull->manifest_length = (uint8_t)length;
    begin(pull, MANIFEST);
}

static void read_answer(to_pull *pull) {
    to_pull_answer answer;
    if (!to_pull_read_answer(&answer, pull->answer, pull->answer_length)) {
        rest(pull);
        return;
    }
    if (answer.seconds > 0) {
        pull->check_in_seconds = answer.seconds;
        schedule(pull, spread(answer.seconds * UINT64_C(1000)));
    }
    if (answer.time > 0 && pull->settings->security != NULL) {
        to_update_set_time(pull->update, answer.time);
    }
    to_uri uri;
    if (answer.manifest.size > 0 && to_uri_parse(&uri, answer.manifest.bytes, answer.manifest.size)) {
        begin_manifest(pull, answer.manifest.bytes, answer.manifest.size);
    } else {
        rest(pull);
    }
}

static int is_final(uint8_t code) {
    return code >> 5 == 4 && code != TO_COAP_INCOMPLETE && code != TO_COAP_TOO_MANY_REQUESTS;
}

/* A transfer has failed in a way that a further attempt does not mend. */
static void give_up(to_pull *pull, to_reason reason) {
    to_update_want want;
    if (pull->step == PAYLOAD && to_update_wants(pull->update, &want)) { /* not what came by another way */
        to_update_cancel(pull->update, reason);
    }
    rest(pull);
}

static void end_step(to_pull *pull) {
    to_update_want want;
    switch (pull->fetch.result) {
    case TO_FETCH_OK:
        if (pull->step == CHECK_IN) {
            read_answer(pull);
        } else {
            go_on(pull);
        }
        break;
    case TO_FETCH_ETAG:
        if (pull->step == PAYLOAD) {
            restart(pull);
        } else {
            retry(pull);
        }
        break;
    case TO_FETCH_REFUSED:
        if (is_final(pull->fetch.code)) {
            give_up(pull, TO_REASON_PAYLOAD_MISSING);
        } else {
            retry(pull);
        }
        break;
    case TO_FETCH_TOO_LARGE:
        give_up(pull, TO_REASON_IMAGE_SIZE);
        break;
    case TO_FETCH_SINK: /* the update has ended and says why, or it goes on at another place */
        if (pull->has_changed) {
            restart(pull);
        } else if (pull->has_skipped) {
            go_on(pull);
        } else if (pull->step == PAYLOAD && to_update_wants(pull->update, &want)) {
            retry(pull);
        } else {
            rest(pull);
        }
        break;
    default:
        retry(pull);
        break;
    }
}

/* The pull */

void to_pull_start(to_pull *pull, to_update *update, const to_pull_settings *settings) {
    memset(pull, 0, sizeof *pull);
    pull->settings = settings;
    pull->update = update;
    pull->check_in_seconds = settings->check_in_seconds;
    to_fetch_init(&pull->fetch, &settings->link, NULL);
    schedule(pull, 0);
}

to_reason to_pull_trigger(to_pull *pull, const uint8_t *uri, size_t length) {
    to_uri parsed;
    if (!to_uri_parse(&parsed, uri, length) || (parsed.host[0] == '\0' && !pull->has_base)) {
        return TO_REASON_UNSUPPORTED;
    }
    if (pull->step != IDLE) {
        return TO_REASON_BUSY;
    }
    begin_manifest(pull, uri, length);
    return TO_REASON_OK;
}

int to_pull_receive(void *context, const to_endpoint *from, const to_coap_message *message) {
    to_pull *pull = context;
    return to_fetch_receive(&pull->fetch, from, message);
}

uint64_t to_pull_poll(to_pull *pull) {
    uint64_t next = to_fetch_poll(&pull->fetch);
    if (to_fetch_is_running(&pull->fetch)) {
        return next;
    }
    uint64_t now = to_port_now_ms();
    if (pull->step != IDLE && pull->due == UINT64_MAX) {
        end_step(pull);
    }
    if (pull->step == IDLE && pull->settings->server != NULL) {
        to_update_state state = state_of(pull);
        if (to_update_is_due(pull->update)) { /* what is tried next is to be told soon */
            return now + PENDING_MS;
        }
        if (state != TO_UPDATE_DOWNLOADING && fingerprint(pull) != pull->reported &&
            pull->check_in_at > now + REPORT_MS) {
            schedule(pull, REPORT_MS);
        }
        if (now >= pull->check_in_at) {
            schedule(pull, spread(pull->check_in_seconds * UINT64_C(1000)));
            begin(pull, CHECK_IN);
        }
    }
    if (pull->step != IDLE && now >= pull->due) {
        start_step(pull);
        return to_fetch_is_running(&pull->fetch) ? to_fetch_poll(&pull->fetch) : now;
    }
    return pull->step != IDLE ? pull->due : pull->settings->server != NULL ? pull->check_in_at : UINT64_MAX;
}

#else

typedef int to_pull_needs_a_network; /* a translation unit needs a declaration */

#endif
