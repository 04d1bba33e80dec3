#ifndef HOST_BLE_ATT_H
#define HOST_BLE_ATT_H

#include "host/ble_hs.h"

#endif
