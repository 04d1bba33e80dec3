/* RIOT's module that advertises whenever nobody is connected. */
#ifndef NIMBLE_AUTOADV_H
#define NIMBLE_AUTOADV_H

#include <stddef.h>
#include <stdint.h>

#include "host/ble_hs.h"

int nimble_autoadv_add_field(uint8_t type, const void *data, size_t length);
void nimble_autoadv_start(ble_addr_t *address);

#endif
