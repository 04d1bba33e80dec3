#ifndef NIMBLE_RIOT_H
#define NIMBLE_RIOT_H

#include <stdint.h>

extern uint8_t nimble_riot_own_addr_type;

#endif
