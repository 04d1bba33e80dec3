/* Where nothing counts cycles: a process of a computer, or a processor that has no counter. */
#include "counter.h"
#include "tinyops/to_port.h"

void to_counter_init(void) {}

uint64_t to_port_count(void) { return 0; }

const char *to_port_count_kind(void) { return "none"; }

uint32_t to_port_count_hertz(void) { return 0; }
