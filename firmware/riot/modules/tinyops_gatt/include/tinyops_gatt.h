/* CoAP in the values of a GATT service: `ble:ADDRESS` on the other side.
 *
 * The service 7c0a0001-52f1-4b8e-9c3e-0e5d6f2a91b4 has two characteristics: 7c0a0002-... is written by the
 * host, 7c0a0003-... is notified by the device. tinyops/to_fragments.h says what the values hold.
 *
 * Both functions are for tinyops_ble, in NimBLE's thread.
 */
#ifndef TINYOPS_GATT_H
#define TINYOPS_GATT_H

#include "tinyops_ble.h"

/* Adds the service. */
void tinyops_gatt_init(void);

/* Sends a message in notifications to a connection that has subscribed. `first` is 0 when the message is the
 * one that was to be sent later. */
tinyops_ble_outcome tinyops_gatt_send(const to_endpoint *to, const uint8_t *message, size_t length,
                                      int first);

#endif
