/* RIOT's driver of a processor's own flash; pages are numbered from the start of the flash. */
#ifndef PERIPH_FLASHPAGE_H
#define PERIPH_FLASHPAGE_H

#include <stddef.h>

#include "cpu.h"

size_t flashpage_size(unsigned page);
void *flashpage_addr(unsigned page);
unsigned flashpage_page(const void *addr);
void flashpage_erase(unsigned page);

/* Both addresses and the length are multiples of the block's. */
void flashpage_write(void *target_addr, const void *data, size_t len);

#endif
