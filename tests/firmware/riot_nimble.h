/* Between the two parts of the NimBLE that programs for tests have. */
#ifndef RIOT_NIMBLE_H
#define RIOT_NIMBLE_H

#include <stddef.h>
#include <stdint.h>

#include "host/ble_hs.h"

/* Ends the program when the modules break a rule of NimBLE. */
void nimble_require(int holds, const char *what);

/* To be called before anything else; the descriptor becomes readable when there are events. */
int nimble_open(void);

/* Runs what is due; `buffers` of NimBLE's own are free then. Returns milliseconds until something may be due
 * again, or -1. */
int nimble_run(int buffers);

/* A buffer of NimBLE's own. */
struct os_mbuf *nimble_allocate(const void *data, size_t length);

#endif
