/* What a counter of tinyops_device needs besides, for an emulated processor without anything else: a clock
 * that stands where the test sets it, and interrupts that the test raises itself. */
#include "clk.h"
#include "counter.h"
#include "irq.h"
#include "tinyops/to_port.h"

extern volatile uint64_t tool_now_ms;
volatile uint64_t tool_now_ms;

uint64_t to_port_now_ms(void) { return tool_now_ms; }

uint32_t coreclk(void) { return 64000000; }

unsigned irq_disable(void) { return 0; }

void irq_restore(unsigned state) { (void)state; }

void tool_start(void);
void tool_start(void) { to_counter_init(); }
