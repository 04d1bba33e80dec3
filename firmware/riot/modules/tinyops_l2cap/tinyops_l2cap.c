#include "tinyops_l2cap.h"

#include <assert.h>

#include "host/ble_hs.h"
#include "host/ble_l2cap.h"

#include "tinyops/to_slipmux.h"

#define MTU TO_SLIPMUX_MESSAGE_MAX

/* A service data unit in one buffer, so that it is there when it is needed: one that arrives, one that
 * leaves. */
#define UNIT_BYTES (sizeof(struct os_mbuf) + sizeof(struct os_mbuf_pkthdr) + MTU)
#define UNITS 2u

static os_membuf_t memory[OS_MEMPOOL_SIZE(UNITS, UNIT_BYTES)];
static struct os_mempool blocks;
static struct os_mbuf_pool units;

static struct ble_l2cap_chan *opened; /* from its acceptance to its end */
static to_endpoint peer;              /* of kind TO_ENDPOINT_LINE: nobody is there yet */

/* When there is no channel, NimBLE has no unit but those that it has lost. */
static void recover_units(void) {
    static char name[] = "tinyops_l2cap";
    os_mempool_unregister(&blocks);
    os_mempool_init(&blocks, UNITS, UNIT_BYTES, memory, name);
    os_mbuf_pool_init(&units, &blocks, UNIT_BYTES, UNITS);
}

static int accept_channel(struct ble_l2cap_event *event) {
    if (opened != NULL) {
        return BLE_HS_ENOMEM;
    }
    recover_units();
    int result = ble_l2cap_recv_ready(event->accept.chan, os_mbuf_get_pkthdr(&units, 0));
    if (result == 0) {
        opened = event->accept.chan;
        peer.kind = TO_ENDPOINT_LINE;
    }
    return result;
}

static void connected(struct ble_l2cap_event *event) {
    if (event->connect.status != 0 ||
        !tinyops_ble_endpoint(TO_ENDPOINT_L2CAP, event->connect.conn_handle, &peer)) {
        peer.kind = TO_ENDPOINT_LINE;
    }
}

/* NimBLE calls it with its lock taken. */
static void disconnected(struct ble_l2cap_event *event) {
    if (event->disconnect.chan == opened) {
        opened = NULL;
        peer.kind = TO_ENDPOINT_LINE;
    }
}

/* NimBLE needs a unit for the next message at once: the other side may still have credits. */
static void received(struct ble_l2cap_event *event) {
    static uint8_t message[MTU];
    struct os_mbuf *unit = event->receive.sdu_rx;
    uint16_t length = OS_MBUF_PKTLEN(unit);
    int whole = length <= sizeof message && os_mbuf_copydata(unit, 0, length, message) == 0;
    os_mbuf_free_chain(unit);
    ble_l2cap_recv_ready(event->receive.chan, os_mbuf_get_pkthdr(&units, 0));
    if (whole && peer.kind != TO_ENDPOINT_LINE) {
        tinyops_ble_received(&peer, message, length);
    }
}

static int on_event(struct ble_l2cap_event *event, void *arg) {
    (void)arg;
    switch (event->type) {
    case BLE_L2CAP_EVENT_COC_ACCEPT:
        return accept_channel(event);
    case BLE_L2CAP_EVENT_COC_CONNECTED:
        connected(event);
        break;
    case BLE_L2CAP_EVENT_COC_DISCONNECTED:
        disconnected(event);
        break;
    case BLE_L2CAP_EVENT_COC_DATA_RECEIVED:
        received(event);
        break;
    case BLE_L2CAP_EVENT_COC_TX_UNSTALLED:
        if (event->tx_unstalled.status != 0) { /* a part of a message has left: what follows would not fit */
            ble_l2cap_disconnect(event->tx_unstalled.chan);
        }
        break;
    default:
        break;
    }
    return 0;
}

tinyops_ble_outcome tinyops_l2cap_send(const to_endpoint *to, const uint8_t *message, size_t length) {
    if (opened == NULL || !to_endpoint_equal(&peer, to)) {
        return TINYOPS_BLE_LOST;
    }
    struct os_mbuf *unit = os_mbuf_get_pkthdr(&units, 0);
    if (unit == NULL) { /* the message before is on its way */
        return TINYOPS_BLE_LATER;
    }
    int result = os_mbuf_append(unit, message, (uint16_t)length);
    result = result == 0 ? ble_l2cap_send(opened, unit) : BLE_HS_EBADDATA;
    if (result == 0 || result == BLE_HS_ESTALLED) { /* the rest leaves when there are credits again */
        return TINYOPS_BLE_SENT;
    }
    if (result == BLE_HS_EBUSY || result == BLE_HS_EBADDATA) { /* NimBLE has not taken it */
        os_mbuf_free_chain(unit);
        return result == BLE_HS_EBUSY ? TINYOPS_BLE_LATER : TINYOPS_BLE_LOST;
    }
    ble_l2cap_disconnect(opened); /* as above */
    return TINYOPS_BLE_LOST;
}

void tinyops_l2cap_init(void) {
    int failed = ble_l2cap_create_server(CONFIG_TINYOPS_L2CAP_PSM, MTU, on_event, NULL);
    assert(!failed);
    (void)failed;
}
