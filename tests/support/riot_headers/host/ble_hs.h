/* NimBLE's host: buffers, GAP, GATT server and L2CAP channels, as far as tinyops' modules use them. */
#ifndef HOST_BLE_HS_H
#define HOST_BLE_HS_H

#include <stddef.h>
#include <stdint.h>

#define MYNEWT_VAL_BLE_MAX_CONNECTIONS 1
#ifndef MYNEWT_VAL_BLE_ATT_PREFERRED_MTU
#define MYNEWT_VAL_BLE_ATT_PREFERRED_MTU 247
#endif

#define BLE_HS_ENOMEM 6
#define BLE_HS_ENOTCONN 7
#define BLE_HS_EBADDATA 10
#define BLE_HS_EBUSY 15
#define BLE_HS_ESTALLED 31

#define BLE_HS_ADV_TYPE_COMP_UUIDS128 0x07

/* Buffers */

struct os_mbuf_pkthdr {
    uint16_t omp_len;
    uint16_t omp_flags;
};

struct os_mbuf_pool;

struct os_mbuf {
    struct os_mbuf *next;
    struct os_mbuf_pool *pool; /* NULL: of NimBLE's own */
    uint16_t om_len;
    uint8_t om_data[];
};

typedef uint64_t os_membuf_t;

struct os_mempool {
    struct os_mbuf *free;
    uint32_t block_bytes;
    int registered;
};

struct os_mbuf_pool {
    struct os_mempool *blocks;
};

#define OS_MEMPOOL_SIZE(n, bytes) ((((bytes) + sizeof(os_membuf_t) - 1) / sizeof(os_membuf_t)) * (n))
#define OS_MBUF_PKTLEN(om) ((om)->om_len)

int os_mempool_init(struct os_mempool *pool, uint16_t blocks, uint32_t bytes, void *memory, char *name);
int os_mempool_unregister(struct os_mempool *pool);
int os_mbuf_pool_init(struct os_mbuf_pool *pool, struct os_mempool *blocks, uint16_t bytes, uint16_t count);
struct os_mbuf *os_mbuf_get_pkthdr(struct os_mbuf_pool *pool, uint8_t header);
int os_mbuf_append(struct os_mbuf *om, const void *data, uint16_t length);
int os_mbuf_copydata(const struct os_mbuf *om, int offset, int length, void *data);
int os_mbuf_free_chain(struct os_mbuf *om);
int os_msys_num_free(void);

struct os_mbuf *ble_hs_mbuf_from_flat(const void *data, uint16_t length);
int ble_hs_mbuf_to_flat(const struct os_mbuf *om, void *data, uint16_t capacity, uint16_t *length);

/* GAP */

typedef struct {
    uint8_t type;
    uint8_t val[6];
} ble_addr_t;

struct ble_gap_conn_desc {
    ble_addr_t peer_id_addr;
    uint16_t conn_handle;
};

#define BLE_GAP_EVENT_CONNECT 0
#define BLE_GAP_EVENT_DISCONNECT 1
#define BLE_GAP_EVENT_SUBSCRIBE 14

struct ble_gap_event {
    uint8_t type;
    union {
        struct {
            int status;
            uint16_t conn_handle;
        } connect;
        struct {
            int reason;
            struct ble_gap_conn_desc conn;
        } disconnect;
        struct {
            uint16_t conn_handle;
            uint16_t attr_handle;
            uint8_t cur_notify;
        } subscribe;
    };
};

typedef int ble_gap_event_fn(struct ble_gap_event *event, void *arg);

struct ble_gap_event_listener {
    ble_gap_event_fn *fn;
    void *arg;
};

int ble_gap_event_listener_register(struct ble_gap_event_listener *listener, ble_gap_event_fn *fn, void *arg);
int ble_gap_conn_find(uint16_t handle, struct ble_gap_conn_desc *description);

/* GATT */

typedef struct {
    uint8_t type;
} ble_uuid_t;

typedef struct {
    ble_uuid_t u;
    uint8_t value[16];
} ble_uuid128_t;

#define BLE_UUID128_INIT(...)                                                                                \
    {                                                                                                        \
        {128}, { __VA_ARGS__ }                                                                               \
    }

#define BLE_GATT_SVC_TYPE_END 0
#define BLE_GATT_SVC_TYPE_PRIMARY 1
#define BLE_GATT_CHR_F_WRITE_NO_RSP 0x0004
#define BLE_GATT_CHR_F_WRITE 0x0008
#define BLE_GATT_CHR_F_NOTIFY 0x0010
#define BLE_GATT_ACCESS_OP_READ_CHR 0
#define BLE_GATT_ACCESS_OP_WRITE_CHR 1
#define BLE_ATT_ERR_INVALID_ATTR_VALUE_LEN 0x0d
#define BLE_ATT_ERR_UNLIKELY 0x0e

struct ble_gatt_access_ctxt {
    uint8_t op;
    struct os_mbuf *om;
};

typedef int ble_gatt_access_fn(uint16_t connection, uint16_t attribute, struct ble_gatt_access_ctxt *access,
                               void *arg);

struct ble_gatt_chr_def {
    const ble_uuid_t *uuid;
    ble_gatt_access_fn *access_cb;
    void *arg;
    uint16_t flags;
    uint16_t *val_handle;
};

struct ble_gatt_svc_def {
    uint8_t type;
    const ble_uuid_t *uuid;
    const struct ble_gatt_chr_def *characteristics;
};

int ble_gatts_count_cfg(const struct ble_gatt_svc_def *services);
int ble_gatts_add_svcs(const struct ble_gatt_svc_def *services);
int ble_gatts_start(void);
int ble_gatts_notify_custom(uint16_t connection, uint16_t attribute,
                            struct os_mbuf *om); /* takes the buffer */
uint16_t ble_att_mtu(uint16_t connection);

/* L2CAP */

struct ble_l2cap_chan;

#define BLE_L2CAP_EVENT_COC_CONNECTED 0
#define BLE_L2CAP_EVENT_COC_DISCONNECTED 1
#define BLE_L2CAP_EVENT_COC_ACCEPT 2
#define BLE_L2CAP_EVENT_COC_DATA_RECEIVED 3
#define BLE_L2CAP_EVENT_COC_TX_UNSTALLED 4

struct ble_l2cap_event {
    uint8_t type;
    union {
        struct {
            int status;
            uint16_t conn_handle;
            struct ble_l2cap_chan *chan;
        } connect;
        struct {
            uint16_t conn_handle;
            struct ble_l2cap_chan *chan;
        } disconnect;
        struct {
            uint16_t conn_handle;
            uint16_t peer_sdu_size;
            struct ble_l2cap_chan *chan;
        } accept;
        struct {
            uint16_t conn_handle;
            struct ble_l2cap_chan *chan;
            struct os_mbuf *sdu_rx;
        } receive;
        struct {
            uint16_t conn_handle;
            struct ble_l2cap_chan *chan;
            int status;
        } tx_unstalled;
    };
};

typedef int ble_l2cap_event_fn(struct ble_l2cap_event *event, void *arg);

int ble_l2cap_create_server(uint16_t psm, uint16_t mtu, ble_l2cap_event_fn *fn, void *arg);
int ble_l2cap_recv_ready(struct ble_l2cap_chan *channel, struct os_mbuf *unit);
int ble_l2cap_disconnect(struct ble_l2cap_chan *channel);

/* 0 when it has left, BLE_HS_ESTALLED when it leaves later; else BLE_HS_EBUSY or BLE_HS_EBADDATA when it is
 * not taken. */
int ble_l2cap_send(struct ble_l2cap_chan *channel, struct os_mbuf *unit);

#endif
