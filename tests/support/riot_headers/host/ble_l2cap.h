#ifndef HOST_BLE_L2CAP_H
#define HOST_BLE_L2CAP_H

#include "host/ble_hs.h"

#endif
