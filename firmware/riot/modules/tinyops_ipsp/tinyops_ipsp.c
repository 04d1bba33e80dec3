#include "tinyops_ipsp.h"

#include <assert.h>

#include "net/bluetil/ad.h"
#include "nimble_netif.h"
#include "nimble_riot.h"

#include "host/ble_hs.h"

#ifdef MODULE_TINYOPS_GATT
#include "tinyops/to_fragments.h"
#endif

#define INTERVAL_MS 100

/* The internet protocol support service, little-endian. */
static const uint8_t ipss[] = {0x20, 0x18};

static uint8_t memory[BLE_HS_ADV_MAX_SZ];
static bluetil_ad_t advertised;

/* No connection is left, or it advertises already: an event comes when that changes. */
static void accept_next(void) {
    nimble_netif_accept_cfg_t settings = {
        .flags = NIMBLE_NETIF_FLAG_LEGACY,
        .own_addr_type = nimble_riot_own_addr_type,
        .adv_itvl_ms = INTERVAL_MS,
        .primary_phy = NIMBLE_PHY_1M,
        .secondary_phy = NIMBLE_PHY_1M,
    };
    (void)nimble_netif_accept(advertised.buf, advertised.pos, &settings);
}

/* In NimBLE's thread. */
static void on_event(int handle, nimble_netif_event_t event, const uint8_t *address) {
    (void)handle;
    (void)address;
    switch (event) {
    case NIMBLE_NETIF_INIT_SLAVE:
    case NIMBLE_NETIF_CLOSED_SLAVE:
    case NIMBLE_NETIF_ABORT_SLAVE:
    case NIMBLE_NETIF_ACCEPT_STOP:
        accept_next();
        break;
    default:
        break;
    }
}

void tinyops_ipsp_start(void) {
    int result = bluetil_ad_init_with_flags(&advertised, memory, sizeof memory, BLUETIL_AD_FLAGS_DEFAULT);
    assert(result == BLUETIL_AD_OK);
    result = bluetil_ad_add(&advertised, BLE_GAP_AD_UUID16_COMP, ipss, sizeof ipss);
    assert(result == BLUETIL_AD_OK);
#ifdef MODULE_TINYOPS_GATT
    static const uint8_t service[] = {TO_FRAGMENTS_SERVICE};
    result = bluetil_ad_add(&advertised, BLE_GAP_AD_UUID128_COMP, service, sizeof service);
    assert(result == BLUETIL_AD_OK);
#endif
    (void)bluetil_ad_add_name(&advertised, CONFIG_TINYOPS_BLE_NAME); /* if there is room for it */
    (void)result;
    nimble_netif_eventcb(on_event);
    accept_next();
}
