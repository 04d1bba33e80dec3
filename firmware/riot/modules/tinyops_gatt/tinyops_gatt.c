#include "tinyops_gatt.h"

#include <assert.h>
#include <string.h>

#include "host/ble_att.h"
#include "host/ble_gap.h"
#include "host/ble_gatt.h"
#include "host/ble_hs.h"

#include "tinyops/to_fragments.h"

/* The header of a notification or of a write. */
#define ATT_HEADER 3u
#define VALUE_MAX (MYNEWT_VAL_BLE_ATT_PREFERRED_MTU - ATT_HEADER)

/* Buffers of NimBLE that are left to what comes in. */
#define BUFFERS_SPARED 2

typedef struct {
    to_endpoint endpoint; /* of kind TO_ENDPOINT_LINE: the place is free */
    uint16_t handle;
    uint8_t subscribed;
    to_fragmenter outgoing;
    to_reassembler incoming;
} connection;

static connection connections[MYNEWT_VAL_BLE_MAX_CONNECTIONS];
static uint16_t from_device; /* handle of the characteristic's value */

static connection *find_handle(uint16_t handle) {
    for (unsigned i = 0; i < MYNEWT_VAL_BLE_MAX_CONNECTIONS; i++) {
        if (connections[i].endpoint.kind != TO_ENDPOINT_LINE && connections[i].handle == handle) {
            return &connections[i];
        }
    }
    return NULL;
}

static connection *find_endpoint(const to_endpoint *endpoint) {
    for (unsigned i = 0; i < MYNEWT_VAL_BLE_MAX_CONNECTIONS; i++) {
        if (to_endpoint_equal(&connections[i].endpoint, endpoint)) {
            return &connections[i];
        }
    }
    return NULL;
}

/* Connections */

static void disconnected(uint16_t handle) {
    connection *gone = find_handle(handle);
    if (gone != NULL) {
        gone->endpoint.kind = TO_ENDPOINT_LINE;
    }
}

static void connected(uint16_t handle) {
    disconnected(handle);
    for (unsigned i = 0; i < MYNEWT_VAL_BLE_MAX_CONNECTIONS; i++) {
        connection *place = &connections[i];
        if (place->endpoint.kind == TO_ENDPOINT_LINE) {
            memset(place, 0, sizeof *place);
            place->handle = handle;
            if (!tinyops_ble_endpoint(TO_ENDPOINT_GATT, handle, &place->endpoint)) {
                place->endpoint.kind = TO_ENDPOINT_LINE;
            }
            return;
        }
    }
}

static void subscribed(uint16_t handle, uint8_t notify) {
    connection *of = find_handle(handle);
    if (of != NULL) {
        of->subscribed = notify;
    }
}

static int on_gap(struct ble_gap_event *event, void *arg) {
    (void)arg;
    if (event->type == BLE_GAP_EVENT_CONNECT && event->connect.status == 0) {
        connected(event->connect.conn_handle);
    } else if (event->type == BLE_GAP_EVENT_DISCONNECT) {
        disconnected(event->disconnect.conn.conn_handle);
    } else if (event->type == BLE_GAP_EVENT_SUBSCRIBE && event->subscribe.attr_handle == from_device) {
        subscribed(event->subscribe.conn_handle, event->subscribe.cur_notify);
    }
    return 0;
}

/* From the host */

static int on_access(uint16_t handle, uint16_t attribute, struct ble_gatt_access_ctxt *access, void *arg) {
    static uint8_t value[VALUE_MAX];
    uint16_t size;
    (void)attribute;
    (void)arg;
    connection *from = find_handle(handle);
    if (access->op != BLE_GATT_ACCESS_OP_WRITE_CHR || from == NULL) {
        return BLE_ATT_ERR_UNLIKELY;
    }
    if (ble_hs_mbuf_to_flat(access->om, value, sizeof value, &size) != 0) {
        return BLE_ATT_ERR_INVALID_ATTR_VALUE_LEN;
    }
    size_t length;
    const uint8_t *message = to_reassembler_feed(&from->incoming, value, size, &length);
    if (message != NULL) {
        tinyops_ble_received(&from->endpoint, message, length);
    }
    return 0;
}

/* To the host */

static int notify(uint16_t handle, const uint8_t *value, size_t size) {
    struct os_mbuf *buffer =
        os_msys_num_free() > BUFFERS_SPARED ? ble_hs_mbuf_from_flat(value, (uint16_t)size) : NULL;
    return buffer != NULL ? ble_gatts_notify_custom(handle, from_device, buffer) : BLE_HS_ENOMEM;
}

tinyops_ble_outcome tinyops_gatt_send(const to_endpoint *to, const uint8_t *message, size_t length,
                                      int first) {
    static uint8_t value[VALUE_MAX];
    static size_t size; /* of a fragment that found no room; 0: there is none */
    connection *of = find_endpoint(to);
    uint16_t mtu = of != NULL && of->subscribed ? ble_att_mtu(of->handle) : 0;
    if (mtu <= ATT_HEADER + 1u) {
        return TINYOPS_BLE_LOST;
    }
    size_t room = mtu - ATT_HEADER < VALUE_MAX ? mtu - ATT_HEADER : VALUE_MAX;
    if (first) {
        to_fragmenter_begin(&of->outgoing, message, length);
        size = 0;
    }
    while (size > 0 || (size = to_fragmenter_next(&of->outgoing, value, room)) > 0) {
        int result = notify(of->handle, value, size);
        if (result == BLE_HS_ENOMEM) {
            return TINYOPS_BLE_LATER;
        }
        size = 0;
        if (result != 0) {
            return TINYOPS_BLE_LOST;
        }
    }
    return TINYOPS_BLE_SENT;
}

/* The service */

static const ble_uuid128_t service_uuid = BLE_UUID128_INIT(TO_FRAGMENTS_SERVICE);
static const ble_uuid128_t to_device_uuid = BLE_UUID128_INIT(TO_FRAGMENTS_TO_DEVICE);
static const ble_uuid128_t from_device_uuid = BLE_UUID128_INIT(TO_FRAGMENTS_FROM_DEVICE);

static const struct ble_gatt_chr_def characteristics[] = {
    {.uuid = &to_device_uuid.u,
     .access_cb = on_access,
     .flags = BLE_GATT_CHR_F_WRITE | BLE_GATT_CHR_F_WRITE_NO_RSP},
    {.uuid = &from_device_uuid.u,
     .access_cb = on_access,
     .val_handle = &from_device,
     .flags = BLE_GATT_CHR_F_NOTIFY},
    {.uuid = NULL},
};

static const struct ble_gatt_svc_def services[] = {
    {.type = BLE_GATT_SVC_TYPE_PRIMARY, .uuid = &service_uuid.u, .characteristics = characteristics},
    {.type = BLE_GATT_SVC_TYPE_END},
};

void tinyops_gatt_init(void) {
    static struct ble_gap_event_listener listener;
    int failed = ble_gatts_count_cfg(services) != 0 || ble_gatts_add_svcs(services) != 0 ||
                 ble_gap_event_listener_register(&listener, on_gap, NULL) != 0;
    assert(!failed);
    (void)failed;
}
