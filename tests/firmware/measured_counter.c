/* For the host's firmware, linked with --wrap: a counter as hardware has it. Each call finds more cycles gone
 * than the one before, so that whatever lies between two calls counts. */
#include <stdint.h>

uint64_t __wrap_to_port_count(void);
const char *__wrap_to_port_count_kind(void);
uint32_t __wrap_to_port_count_hertz(void);
uint32_t __wrap_to_port_stack_used(void);

uint64_t __wrap_to_port_count(void) {
    static uint64_t total, step;
    step += 1000;
    return total += step;
}

const char *__wrap_to_port_count_kind(void) { return "measured-on-board"; }

uint32_t __wrap_to_port_count_hertz(void) { return 64000000; }

uint32_t __wrap_to_port_stack_used(void) { return 1234; }
