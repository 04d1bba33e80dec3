#ifndef HOST_BLE_GATT_H
#define HOST_BLE_GATT_H

#include "host/ble_hs.h"

#endif
