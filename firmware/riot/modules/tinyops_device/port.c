/* to_port.h on RIOT. */
#include "counter.h"
#include "irq.h"
#include "periph/pm.h"
#include "thread.h"
#include "tinyops.h"
#include "tinyops/to_port.h"
#include "ztimer.h"

#ifdef TO_NETWORK
#include "random.h"
#ifdef MODULE_PERIPH_HWRNG
#include "periph/hwrng.h"
#endif
#endif

uint64_t to_port_now_ms(void) {
    static uint32_t last, wraps; /* at least one call in 49 days */
    unsigned state = irq_disable();
    uint32_t now = ztimer_now(ZTIMER_MSEC);
    wraps += now < last;
    last = now;
    uint64_t whole = (uint64_t)wraps << 32 | now;
    irq_restore(state);
    return whole;
}

/* Stack use: words below the present depth are filled with their own addresses, as RIOT does with DEVELHELP,
 * and those that keep them were never used. */

static const uintptr_t *measured;
static const char *measured_end;

/* For what is below the stack pointer and yet in use (red zone), and this function's own frame. */
#define STACK_GAP 256u

/* At the other end: what thread_create leaves out for alignment, and what the memory protection unit guards.
 */
#ifdef MODULE_MPU_STACK_GUARD
#define STACK_GUARD (16u + 32u + 32u)
#else
#define STACK_GUARD 16u
#endif

void tinyops_measure_stack(size_t bytes) {
    char *end = (char *)thread_get_active() + sizeof(thread_t); /* the thread's description is on top of it */
    uintptr_t first = ((uintptr_t)end - bytes + STACK_GUARD) & ~(sizeof first - 1u);
    uintptr_t last = (uintptr_t)__builtin_frame_address(0) - STACK_GAP;
    for (uintptr_t at = first; at < last; at += sizeof at) {
        *(uintptr_t volatile *)at = at;
    }
    measured = (const uintptr_t *)first;
    measured_end = end;
}

uint32_t to_port_stack_used(void) {
    const uintptr_t *used = measured;
    while (used != NULL && *used == (uintptr_t)used) {
        used++;
    }
    return used != NULL ? (uint32_t)(measured_end - (const char *)used) : 0;
}

void to_port_init(void) { to_counter_init(); }

void to_port_exit(int code) {
    (void)code;
    pm_off();
}

void to_port_reset(void) { pm_reboot(); }

#ifdef TO_NETWORK
void to_port_random(uint8_t *bytes, size_t n) {
#ifdef MODULE_PERIPH_HWRNG
    hwrng_read(bytes, (unsigned)n);
#else
    random_bytes(bytes, n);
#endif
}
#endif
