/* What tinyops_gatt and tinyops_l2cap share: advertising, and the way of messages to and from the device.
 *
 * All calls to NimBLE are made in NimBLE's thread, where connections end. It hands messages over to the
 * thread that serves (tinyops.h), so that an inference does not keep the radio from its work.
 */
#ifndef TINYOPS_BLE_H
#define TINYOPS_BLE_H

#include <stddef.h>
#include <stdint.h>

#include "tinyops/to_endpoint.h"

/* Adds the services and begins to advertise. Done at start, unless CONFIG_TINYOPS_BLE_START_MANUALLY is 1:
 * then the application calls it, after it has added its own GATT services. */
void tinyops_ble_start(void);

/* For tinyops_gatt and tinyops_l2cap, in NimBLE's thread */

/* The endpoint of a new connection; `kind` is TO_ENDPOINT_GATT or TO_ENDPOINT_L2CAP. Returns 0 when there is
 * no such connection. */
int tinyops_ble_endpoint(uint8_t kind, uint16_t connection, to_endpoint *endpoint);

/* Hands a message over, which is copied. */
void tinyops_ble_received(const to_endpoint *from, const uint8_t *message, size_t length);

typedef enum { TINYOPS_BLE_SENT, TINYOPS_BLE_LOST, TINYOPS_BLE_LATER } tinyops_ble_outcome;

#endif
