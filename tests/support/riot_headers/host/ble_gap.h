#ifndef HOST_BLE_GAP_H
#define HOST_BLE_GAP_H

#include "host/ble_hs.h"

#endif
