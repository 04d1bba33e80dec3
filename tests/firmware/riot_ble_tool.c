/* NimBLE as tinyops' modules see it, behind a pipe. What the air brings and takes are records on standard
 * input and output: a letter, a length of two bytes (little-endian), content. Callbacks are called in one
 * thread. Incoming:
 *
 *   C connect, D disconnect, S subscribe (0 or 1), M MTU (2 bytes), W value written, R value read,
 *   O open a channel, U service data unit, X close the channel,
 *   K credits (0: none, 1: enough, 2: enough, but no memory), B free buffers between two turns
 *
 * Outgoing:
 *
 *   A advertising data, N value notified, E status of a write or read that is refused,
 *   O whether the channel is open, U service data unit, X the device closes the channel
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "flash_file.h"
#include "nimble_autoadv.h"
#include "riot_nimble.h"
#include "riot_threads.h"
#include "services/gap/ble_svc_gap.h"
#include "tinyops/to_update.h"

#define HANDLE 64
#define ATTRIBUTE 12

static int records;      /* where they go */
static int buffers = 16; /* of NimBLE's own that are free between two turns */

static void put(char kind, const void *content, size_t length) {
    uint8_t record[3 + 2048];
    record[0] = (uint8_t)kind;
    record[1] = (uint8_t)(length & 0xFFu);
    record[2] = (uint8_t)(length >> 8);
    memcpy(record + 3, content, length);
    if (write(records, record, 3 + length) < 0) {
        _exit(0);
    }
}

/* GAP and GATT */

static int connected, mtu = 23;
static struct ble_gap_event_listener *listening;
static const struct ble_gatt_svc_def *offered;
static uint8_t advertised[31];
static size_t advertised_bytes;

uint8_t nimble_riot_own_addr_type;

int ble_svc_gap_device_name_set(const char *name) {
    nimble_require(strlen(name) < 31, "the name is too long");
    return 0;
}

int nimble_autoadv_add_field(uint8_t type, const void *data, size_t length) {
    nimble_require(advertised_bytes + length + 2 <= sizeof advertised, "too much is advertised");
    advertised[advertised_bytes++] = (uint8_t)(length + 1);
    advertised[advertised_bytes++] = type;
    memcpy(advertised + advertised_bytes, data, length);
    advertised_bytes += length;
    return 0;
}

void nimble_autoadv_start(ble_addr_t *address) {
    (void)address;
    put('A', advertised, advertised_bytes);
}

int ble_gap_event_listener_register(struct ble_gap_event_listener *listener, ble_gap_event_fn *fn,
                                    void *arg) {
    listener->fn = fn;
    listener->arg = arg;
    listening = listener;
    return 0;
}

int ble_gap_conn_find(uint16_t handle, struct ble_gap_conn_desc *description) {
    static const ble_addr_t peer = {1, {0xF0, 0xF0, 0xF0, 0xF0, 0xF0, 0xF0}};
    description->peer_id_addr = peer;
    description->conn_handle = handle;
    return connected && handle == HANDLE ? 0 : BLE_HS_ENOTCONN;
}

int ble_gatts_count_cfg(const struct ble_gatt_svc_def *services) {
    nimble_require(services[0].type == BLE_GATT_SVC_TYPE_PRIMARY, "no service");
    return 0;
}

int ble_gatts_add_svcs(const struct ble_gatt_svc_def *services) {
    offered = services;
    return 0;
}

static const struct ble_gatt_chr_def *characteristic(uint16_t flag) {
    const struct ble_gatt_chr_def *found = offered[0].characteristics;
    while (found->uuid != NULL && (found->flags & flag) == 0) {
        found++;
    }
    nimble_require(found->uuid != NULL, "no such characteristic");
    return found;
}

int ble_gatts_start(void) {
    if (offered != NULL) {
        *characteristic(BLE_GATT_CHR_F_NOTIFY)->val_handle = ATTRIBUTE;
    }
    return 0;
}

uint16_t ble_att_mtu(uint16_t connection) { return connected && connection == HANDLE ? (uint16_t)mtu : 0; }

int ble_gatts_notify_custom(uint16_t connection, uint16_t attribute, struct os_mbuf *om) {
    nimble_require(attribute == ATTRIBUTE, "notifies another attribute");
    int there = connected && connection == HANDLE;
    if (there) {
        nimble_require(om->om_len <= mtu - 3, "a notification is longer than the MTU allows");
        put('N', om->om_data, om->om_len);
    }
    os_mbuf_free_chain(om);
    return there ? 0 : BLE_HS_ENOTCONN;
}

static void tell(struct ble_gap_event *event) {
    if (listening != NULL) {
        listening->fn(event, listening->arg);
    }
}

static void access_value(uint8_t op, const uint8_t *value, size_t length) {
    struct os_mbuf *om = nimble_allocate(value, length);
    struct ble_gatt_access_ctxt access = {op, om};
    int status = characteristic(BLE_GATT_CHR_F_WRITE)->access_cb(HANDLE, ATTRIBUTE, &access, NULL);
    os_mbuf_free_chain(om);
    if (status != 0) {
        uint8_t byte = (uint8_t)status;
        put('E', &byte, 1);
    }
}

/* L2CAP */

struct ble_l2cap_chan {
    struct os_mbuf *incoming; /* where the next unit goes */
    struct os_mbuf *stalled;
};

static struct ble_l2cap_chan *channel;
static ble_l2cap_event_fn *server;
static uint16_t server_mtu;
static uint8_t credits = 1;

int ble_l2cap_create_server(uint16_t psm, uint16_t own_mtu, ble_l2cap_event_fn *fn, void *arg) {
    (void)arg;
    nimble_require(psm == 0xC0, "another PSM");
    server = fn;
    server_mtu = own_mtu;
    return 0;
}

int ble_l2cap_recv_ready(struct ble_l2cap_chan *of, struct os_mbuf *unit) {
    nimble_require(unit != NULL, "no unit for what comes next");
    of->incoming = unit;
    return 0;
}

static void close_channel(void) {
    if (channel != NULL) {
        struct ble_l2cap_event event = {.type = BLE_L2CAP_EVENT_COC_DISCONNECTED,
                                        .disconnect = {HANDLE, channel}};
        server(&event, NULL);
        os_mbuf_free_chain(channel->incoming);
        os_mbuf_free_chain(channel->stalled);
        free(channel);
        channel = NULL;
    }
}

static void open_channel(void) {
    struct ble_l2cap_chan *opened = calloc(1, sizeof *opened);
    nimble_require(opened != NULL, "no memory");
    struct ble_l2cap_event event = {.type = BLE_L2CAP_EVENT_COC_ACCEPT, .accept = {HANDLE, 1280, opened}};
    uint8_t accepted = server(&event, NULL) == 0;
    put('O', &accepted, 1);
    if (!accepted) {
        free(opened);
        return;
    }
    nimble_require(opened->incoming != NULL, "a channel without a unit");
    channel = opened;
    struct ble_l2cap_event then = {.type = BLE_L2CAP_EVENT_COC_CONNECTED, .connect = {0, HANDLE, opened}};
    server(&then, NULL);
}

int ble_l2cap_disconnect(struct ble_l2cap_chan *of) {
    nimble_require(of == channel, "another channel");
    put('X', "", 0);
    return 0;
}

static void send_unit(struct os_mbuf *unit) {
    put('U', unit->om_data, unit->om_len);
    os_mbuf_free_chain(unit);
}

int ble_l2cap_send(struct ble_l2cap_chan *of, struct os_mbuf *unit) {
    nimble_require(of == channel, "a channel that is closed");
    if (unit->om_len > 1280) {
        return BLE_HS_EBADDATA;
    }
    if (of->stalled != NULL) {
        return BLE_HS_EBUSY;
    }
    if (credits == 2) {
        os_mbuf_free_chain(unit);
        return BLE_HS_ENOMEM;
    }
    if (credits == 0) {
        of->stalled = unit;
        return BLE_HS_ESTALLED;
    }
    send_unit(unit);
    return 0;
}

static void set_credits(uint8_t value) {
    credits = value;
    if (channel != NULL && channel->stalled != NULL && value != 0) {
        struct os_mbuf *unit = channel->stalled;
        channel->stalled = NULL;
        struct ble_l2cap_event event = {.type = BLE_L2CAP_EVENT_COC_TX_UNSTALLED,
                                        .tx_unstalled = {HANDLE, channel, value == 2 ? BLE_HS_ENOMEM : 0}};
        if (value == 2) {
            os_mbuf_free_chain(unit);
        } else {
            send_unit(unit);
        }
        server(&event, NULL);
    }
}

static void take_unit(const uint8_t *content, size_t length) {
    if (channel == NULL) {
        return;
    }
    nimble_require(length <= server_mtu, "a unit above the MTU");
    struct os_mbuf *unit = channel->incoming;
    channel->incoming = NULL;
    nimble_require(os_mbuf_append(unit, content, (uint16_t)length) == 0, "a unit does not fit");
    struct ble_l2cap_event event = {.type = BLE_L2CAP_EVENT_COC_DATA_RECEIVED,
                                    .receive = {HANDLE, channel, unit}};
    server(&event, NULL);
    nimble_require(channel->incoming != NULL, "no unit for what comes next");
}

/* The air */

static void take_record(uint8_t kind, const uint8_t *content, size_t length) {
    struct ble_gap_event event;
    memset(&event, 0, sizeof event);
    switch (kind) {
    case 'C':
        connected = 1;
        event.type = BLE_GAP_EVENT_CONNECT;
        event.connect.conn_handle = HANDLE;
        tell(&event);
        break;
    case 'D':
        close_channel();
        connected = 0;
        mtu = 23;
        event.type = BLE_GAP_EVENT_DISCONNECT;
        event.disconnect.conn.conn_handle = HANDLE;
        tell(&event);
        put('A', advertised, advertised_bytes);
        break;
    case 'S':
        event.type = BLE_GAP_EVENT_SUBSCRIBE;
        event.subscribe.conn_handle = HANDLE;
        event.subscribe.attr_handle = ATTRIBUTE;
        event.subscribe.cur_notify = content[0];
        tell(&event);
        break;
    case 'M':
        mtu = content[0] | content[1] << 8;
        mtu = mtu < MYNEWT_VAL_BLE_ATT_PREFERRED_MTU ? mtu : MYNEWT_VAL_BLE_ATT_PREFERRED_MTU;
        break;
    case 'W':
        access_value(BLE_GATT_ACCESS_OP_WRITE_CHR, content, length);
        break;
    case 'R':
        access_value(BLE_GATT_ACCESS_OP_READ_CHR, content, length);
        break;
    case 'O':
        open_channel();
        break;
    case 'U':
        take_unit(content, length);
        break;
    case 'X':
        close_channel();
        break;
    case 'K':
        set_credits(content[0]);
        break;
    case 'B':
        buffers = content[0];
        break;
    default:
        nimble_require(0, "no such record");
    }
}

static void read_all(uint8_t *data, size_t length) {
    while (length > 0) {
        ssize_t count = read(STDIN_FILENO, data, length);
        if (count <= 0) {
            _exit(0);
        }
        data += count;
        length -= (size_t)count;
    }
}

/* What firmware with a serial line needs; its console is of no use here. */
int to_port_read(uint8_t *data, size_t n) {
    (void)data;
    (void)n;
    return -1;
}

void to_port_write(const uint8_t *data, size_t n) {
    (void)data;
    (void)n;
}

static flash_file flash;

void to_port_update(to_update_port *port) { port->flash = &flash.flash; }

int main(int argc, char **argv) {
    char error[160];
    static uint8_t content[65536];
    records = dup(STDOUT_FILENO);
    nimble_require(records >= 0 && dup2(STDERR_FILENO, STDOUT_FILENO) >= 0, "no pipes");
    int events = nimble_open();
    if (flash_file_open(&flash, argc > 1 ? argv[1] : NULL, TO_FLASH_REGION_BYTES, TO_FLASH_ERASE_BYTES,
                        TO_FLASH_WRITE_BYTES, 0xFF, error, sizeof error) != 0) {
        fprintf(stderr, "error: %s\n", error);
        return 1;
    }
    riot_start();
    for (int wait = -1;;) {
        struct pollfd waited[] = {{STDIN_FILENO, POLLIN, 0}, {events, POLLIN, 0}};
        nimble_require(poll(waited, 2, wait) >= 0, "poll fails");
        wait = nimble_run(buffers);
        if (waited[0].revents != 0) {
            uint8_t header[3];
            read_all(header, sizeof header);
            size_t length = (size_t)(header[1] | header[2] << 8);
            read_all(content, length);
            take_record(header[0], content, length);
        }
    }
}
