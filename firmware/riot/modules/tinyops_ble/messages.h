/* Between the files of this module. */
#ifndef TINYOPS_BLE_MESSAGES_H
#define TINYOPS_BLE_MESSAGES_H

#include "tinyops_ble.h"

/* Before the first connection. */
void tinyops_ble_open_messages(void);

#endif
