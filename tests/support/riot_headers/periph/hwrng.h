/* RIOT's true random numbers. */
#ifndef PERIPH_HWRNG_H
#define PERIPH_HWRNG_H

void hwrng_read(void *bytes, unsigned size);

#endif
