/* The counter of cycles behind to_port_count: one of the files counter_*.c, chosen by counter.mk.
 *
 * Each of them defines to_counter_init, to_port_count, to_port_count_kind and to_port_count_hertz. What is
 * counted are cycles of the processor that elapse, those of interrupts and of other threads included, but not
 * those inside to_port_count. */
#ifndef COUNTER_H
#define COUNTER_H

#include <stdint.h>

/* Starts the counter; to_port_init calls it when to_port_now_ms works, which a counter of 32 bits needs.
 * Where it stands still, as in an emulator that does not have it, the kind of counts stays "none"; else it is
 * "measured-on-board". */
void to_counter_init(void);

#endif
