#ifndef BLE_SVC_GAP_H
#define BLE_SVC_GAP_H

int ble_svc_gap_device_name_set(const char *name);

#endif
