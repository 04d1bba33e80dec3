#include <assert.h>

#include "auto_init_utils.h"

#include "host/ble_gatt.h"
#include "host/ble_hs.h"
#include "services/gap/ble_svc_gap.h"

#include "tinyops_ble.h"

#if defined(MODULE_TINYOPS_GATT) || defined(MODULE_TINYOPS_L2CAP)
#include "messages.h"
#endif
#ifdef MODULE_TINYOPS_GATT
#include "tinyops/to_fragments.h"
#include "tinyops_gatt.h"
#endif
#ifdef MODULE_TINYOPS_L2CAP
#include "tinyops_l2cap.h"
#endif
#ifdef MODULE_TINYOPS_IPSP
#include "tinyops_ipsp.h"
#else
#include "nimble_autoadv.h"
#endif

static void add_services(void) {
#if defined(MODULE_TINYOPS_GATT) || defined(MODULE_TINYOPS_L2CAP)
    tinyops_ble_open_messages();
#endif
#ifdef MODULE_TINYOPS_GATT
    tinyops_gatt_init();
#endif
#ifdef MODULE_TINYOPS_L2CAP
    tinyops_l2cap_init();
#endif
}

static void advertise(void) {
#ifdef MODULE_TINYOPS_IPSP
    tinyops_ipsp_start();
#else
#ifdef MODULE_TINYOPS_GATT
    static const uint8_t service[] = {TO_FRAGMENTS_SERVICE};
    int result = nimble_autoadv_add_field(BLE_HS_ADV_TYPE_COMP_UUIDS128, service, sizeof service);
    assert(result == 0);
    (void)result;
#endif
    nimble_autoadv_start(NULL);
#endif
}

void tinyops_ble_start(void) {
    ble_svc_gap_device_name_set(CONFIG_TINYOPS_BLE_NAME);
    add_services();
    ble_gatts_start();
    advertise();
}

#if !CONFIG_TINYOPS_BLE_START_MANUALLY
/* Behind NimBLE. */
AUTO_INIT(tinyops_ble_start, 2010);
#endif
