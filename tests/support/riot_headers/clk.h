/* The clock of RIOT's processor, as far as tinyops' modules use it. */
#ifndef CLK_H
#define CLK_H

#include <stdint.h>

uint32_t coreclk(void);

#endif
