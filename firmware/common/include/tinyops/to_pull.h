/* Updates that the device fetches itself: it checks in with its server, or is told by POST /suit/trigger,
 * gets the manifest, and then what the update wants (to_update.h). A transfer that breaks off goes on where
 * it stopped, after growing pauses; when that does not help, at the next check-in. */
#ifndef TINYOPS_TO_PULL_H
#define TINYOPS_TO_PULL_H

#include "tinyops/to_fetch.h"
#include "tinyops/to_update.h"

#define TO_PULL_ATTEMPTS 4u /* in a row, without any progress */
#define TO_PULL_RESTARTS 3u /* because the payload has changed */
#define TO_PULL_SECONDS_MAX (30u * 86400u)

typedef struct {
    const char *server;        /* coap://HOST[:PORT]; NULL: no check-in, only triggers with a whole URI */
    uint32_t check_in_seconds; /* until the server says otherwise; the first one is at once */
    const uint8_t *device_id;
    uint8_t device_id_bytes;
    const uint8_t *class_id; /* 16 bytes */
    const char *version;     /* of the firmware */
    to_fetch_link link;
    const to_fetch_security *security; /* of check-ins, or NULL; manifests and payloads bear signatures */
} to_pull_settings;

typedef struct {
    const to_pull_settings *settings;
    to_update *update;
    to_fetch fetch;
    uint8_t step;
    uint8_t attempts;
    uint8_t restarts;
    uint8_t has_changed; /* the payload is another than before */
    uint8_t has_skipped; /* the payload's next bytes are there already */
    uint64_t due;        /* when the step is to be begun, or begun again, in to_port_now_ms */
    uint64_t check_in_at;
    uint32_t check_in_seconds;
    uint32_t reported; /* what the last check-in said of the state, hashed */
    uint32_t progress; /* the offset at which the last attempt began */
    uint8_t manifest_length;
    uint8_t manifest[TO_URI_MAX]; /* its URI */
    uint8_t payload[TO_URI_MAX];  /* the URI of what is being fetched */
    to_uri base;                  /* of relative URIs */
    to_endpoint base_endpoint;
    uint8_t has_base;
    uint8_t body[TO_FETCH_PAYLOAD_MAX]; /* of a check-in */
    uint8_t answer_length;
    uint8_t answer[192]; /* to a check-in */
} to_pull;

void to_pull_start(to_pull *pull, to_update *update, const to_pull_settings *settings);

/* Asks for the manifest at a URI; TO_REASON_BUSY while something is under way, TO_REASON_UNSUPPORTED for a
 * URI of another scheme or form. */
to_reason to_pull_trigger(to_pull *pull, const uint8_t *uri, size_t length);

/* A to_device_response, with the pull as its context. */
int to_pull_receive(void *pull, const to_endpoint *from, const to_coap_message *message);

/* Does what is due; when it is to be called next, in to_port_now_ms. */
uint64_t to_pull_poll(to_pull *pull);

/* The body of a check-in (docs/protocol.md): at most `size` bytes into `body`, 0 when they do not suffice. */
uint32_t to_pull_describe(const to_pull *pull, uint8_t *body, uint32_t size);

/* The answer to a check-in; what it does not hold is 0. */
typedef struct {
    to_span manifest; /* its URI */
    uint32_t seconds; /* until the next check-in, at most TO_PULL_SECONDS_MAX */
    uint64_t time;    /* since 1970 */
} to_pull_answer;

/* Returns 0 when it is malformed. */
int to_pull_read_answer(to_pull_answer *answer, const uint8_t *bytes, uint32_t size);

#endif
