#include "tinyops.h"
#include "tinyops/to_port.h"
#include "ztimer.h"

event_queue_t tinyops_queue = EVENT_QUEUE_INIT_DETACHED;

#ifdef TO_NETWORK

/* The longest sleep, so that clocks are seen to wrap. */
#define NAP_MS (UINT32_C(3600) * 1000u)

static event_t *next_event(void) {
    tinyops_lock();
    uint64_t due = to_device_poll(&tinyops_device);
    uint64_t now = to_port_now_ms();
    tinyops_unlock();
    uint64_t wait = due > now ? due - now : 0;
    return event_wait_timeout_ztimer(&tinyops_queue, ZTIMER_MSEC, wait < NAP_MS ? (uint32_t)wait : NAP_MS);
}

#else

static event_t *next_event(void) { return event_wait(&tinyops_queue); }

#endif

void tinyops_serve(void) {
    event_queue_claim(&tinyops_queue);
    tinyops_lock(); /* starts the device */
    tinyops_unlock();
    for (;;) {
        event_t *event = next_event();
        if (event != NULL) {
            tinyops_lock();
            event->handler(event);
            tinyops_unlock();
        }
    }
}
