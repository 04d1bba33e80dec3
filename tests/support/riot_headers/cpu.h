/* RIOT's facts of the processor: here what the test's flash has. */
#ifndef CPU_H
#define CPU_H

#include <stdint.h>

/* Flash pages of one size, or with -DTEST_CUSTOM_PAGES small ones at first and larger ones at the end. */
#define FLASHPAGE_WRITE_BLOCK_SIZE 8
#define FLASHPAGE_WRITE_BLOCK_ALIGNMENT 8
#define FLASHPAGE_ERASE_STATE 0xFFu

#ifdef TEST_CUSTOM_PAGES
#define PERIPH_FLASHPAGE_CUSTOM_PAGESIZES
#define FLASHPAGE_NUMOF 12u
#else
#define FLASHPAGE_SIZE 512u
#define FLASHPAGE_NUMOF 64u
#endif

#endif
