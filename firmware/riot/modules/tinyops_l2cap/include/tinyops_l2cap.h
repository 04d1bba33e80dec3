/* CoAP on an L2CAP credit-based channel, a message in each service data unit: `ble-l2cap:ADDRESS` on the
 * other side. There is one channel at a time.
 *
 * Both functions are for tinyops_ble, in NimBLE's thread.
 */
#ifndef TINYOPS_L2CAP_H
#define TINYOPS_L2CAP_H

#include "tinyops_ble.h"

/* Listens. */
void tinyops_l2cap_init(void);

/* Sends a message on the channel, if it is still the one at `to`. */
tinyops_ble_outcome tinyops_l2cap_send(const to_endpoint *to, const uint8_t *message, size_t length);

#endif
