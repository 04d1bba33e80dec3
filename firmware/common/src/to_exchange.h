/* Between messages and the device: peers, repetitions, acknowledgements, protection. */
#ifndef TINYOPS_TO_EXCHANGE_H
#define TINYOPS_TO_EXCHANGE_H

#include "tinyops/to_device.h"

/* Answers a request that is new, and opened if it was protected. */
void to_device_answer(to_device *device, const to_coap_message *request, to_coap_writer *reply);

/* Between two requests. */
void to_device_idle(to_device *device);

/* With TO_NETWORK: sends unacknowledged responses again; when the next one is due. */
uint64_t to_exchange_poll(to_device *device);

#endif
