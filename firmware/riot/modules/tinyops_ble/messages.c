/* The way of messages between NimBLE's thread and the one that serves. */
#include "messages.h"

#include <string.h>

#include "mutex.h"

#include "host/ble_gap.h"
#include "host/ble_hs.h"
#include "nimble/nimble_port.h"

#include "tinyops.h"

#ifdef MODULE_TINYOPS_GATT
#include "tinyops_gatt.h"
#endif
#ifdef MODULE_TINYOPS_L2CAP
#include "tinyops_l2cap.h"
#endif

/* Between two looks whether NimBLE has room again. */
#define PAUSE_MS 5u

/* From NimBLE to the device */

typedef struct {
    to_endpoint from;
    uint16_t length;
    uint8_t message[TO_SLIPMUX_MESSAGE_MAX];
} letter;

static letter inbox[CONFIG_TINYOPS_BLE_INBOX];
static unsigned oldest, waiting;
static mutex_t inbox_lock = MUTEX_INIT;

static void send_message(const to_endpoint *to, const uint8_t *message, size_t length);

/* In the thread that serves. */
static void serve(event_t *event) {
    static tinyops_link link = {
        .first_kind = TO_ENDPOINT_GATT, .last_kind = TO_ENDPOINT_L2CAP, .send = send_message};
    static int added;
    (void)event;
    if (!added) {
        added = 1;
        tinyops_add_link(&link);
    }
    mutex_lock(&inbox_lock);
    while (waiting > 0) {
        const letter *next = &inbox[oldest];
        mutex_unlock(&inbox_lock);
        to_device_datagram(&tinyops_device, &next->from, next->message, next->length);
        mutex_lock(&inbox_lock);
        oldest = (oldest + 1) % CONFIG_TINYOPS_BLE_INBOX;
        waiting--;
    }
    mutex_unlock(&inbox_lock);
}

void tinyops_ble_received(const to_endpoint *from, const uint8_t *message, size_t length) {
    static event_t arrived = {.handler = serve};
    mutex_lock(&inbox_lock);
    if (waiting < CONFIG_TINYOPS_BLE_INBOX && length <= TO_SLIPMUX_MESSAGE_MAX) {
        letter *place = &inbox[(oldest + waiting) % CONFIG_TINYOPS_BLE_INBOX];
        place->from = *from;
        place->length = (uint16_t)length;
        memcpy(place->message, message, length);
        waiting++;
        event_post(&tinyops_queue, &arrived);
    }
    mutex_unlock(&inbox_lock);
}

int tinyops_ble_endpoint(uint8_t kind, uint16_t connection, to_endpoint *endpoint) {
    static uint32_t connections;
    struct ble_gap_conn_desc description;
    if (ble_gap_conn_find(connection, &description) != 0) {
        return 0;
    }
    connections++;
    memset(endpoint, 0, sizeof *endpoint);
    endpoint->kind = kind;
    memcpy(endpoint->address, description.peer_id_addr.val, sizeof description.peer_id_addr.val);
    endpoint->address[sizeof description.peer_id_addr.val] = description.peer_id_addr.type;
    memcpy(endpoint->scope, &connections, sizeof endpoint->scope);
    memcpy(endpoint->port, &connection, sizeof endpoint->port);
    return 1;
}

/* From the device to NimBLE */

static struct {
    const to_endpoint *to;
    const uint8_t *message;
    size_t length;
    uint32_t waited; /* milliseconds */
    mutex_t done;
    struct ble_npl_event begin;
    struct ble_npl_callout again;
} outgoing = {.done = MUTEX_INIT_LOCKED};

static tinyops_ble_outcome try_to_send(void) {
    switch (outgoing.to->kind) {
#ifdef MODULE_TINYOPS_GATT
    case TO_ENDPOINT_GATT:
        return tinyops_gatt_send(outgoing.to, outgoing.message, outgoing.length, outgoing.waited == 0);
#endif
#ifdef MODULE_TINYOPS_L2CAP
    case TO_ENDPOINT_L2CAP:
        return tinyops_l2cap_send(outgoing.to, outgoing.message, outgoing.length);
#endif
    default:
        return TINYOPS_BLE_LOST;
    }
}

static void on_send(struct ble_npl_event *event) {
    (void)event;
    if (try_to_send() == TINYOPS_BLE_LATER && outgoing.waited < CONFIG_TINYOPS_BLE_SEND_MS) {
        outgoing.waited += PAUSE_MS;
        ble_npl_callout_reset(&outgoing.again, ble_npl_time_ms_to_ticks32(PAUSE_MS));
    } else {
        mutex_unlock(&outgoing.done);
    }
}

/* Waits until NimBLE's thread has taken the message, since it is the caller's. */
static void send_message(const to_endpoint *to, const uint8_t *message, size_t length) {
    outgoing.to = to;
    outgoing.message = message;
    outgoing.length = length;
    outgoing.waited = 0;
    ble_npl_eventq_put(nimble_port_get_dflt_eventq(), &outgoing.begin);
    mutex_lock(&outgoing.done);
}

void tinyops_ble_open_messages(void) {
    ble_npl_event_init(&outgoing.begin, on_send, NULL);
    ble_npl_callout_init(&outgoing.again, nimble_port_get_dflt_eventq(), on_send, NULL);
}
