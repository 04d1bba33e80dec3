/* RIOT's random numbers. */
#ifndef RANDOM_H
#define RANDOM_H

#include <stddef.h>
#include <stdint.h>

void random_bytes(uint8_t *bytes, size_t size);

#endif
