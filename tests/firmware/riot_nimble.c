/* NimBLE's events, timers and buffers; declared in tests/support/riot_headers. Events are posted by any
 * thread and run by the one of NimBLE, which alone has the timers and the buffers. */
#include "riot_nimble.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "nimble/nimble_port.h"
#include "riot_threads.h"
#include "ztimer.h"

static int wake[2];

void nimble_require(int holds, const char *what) {
    if (!holds) {
        fprintf(stderr, "NimBLE: %s\n", what);
        abort();
    }
}

int nimble_open(void) {
    nimble_require(pipe(wake) == 0, "no pipe");
    return wake[0];
}

/* Events */

static struct ble_npl_eventq queue;
static struct ble_npl_callout *running;
static int left; /* buffers of NimBLE's own that are free in this turn */

struct ble_npl_eventq *nimble_port_get_dflt_eventq(void) { return &queue; }

void ble_npl_event_init(struct ble_npl_event *event, ble_npl_event_fn *fn, void *arg) {
    memset(event, 0, sizeof *event);
    event->fn = fn;
    event->arg = arg;
}

void ble_npl_eventq_put(struct ble_npl_eventq *of, struct ble_npl_event *event) {
    riot_lock();
    if (!event->queued) {
        event->queued = 1;
        event->next = of->first;
        of->first = event;
    }
    riot_unlock();
    nimble_require(write(wake[1], "", 1) == 1, "cannot be woken");
}

void ble_npl_callout_init(struct ble_npl_callout *callout, struct ble_npl_eventq *of, ble_npl_event_fn *fn,
                          void *arg) {
    memset(callout, 0, sizeof *callout);
    ble_npl_event_init(&callout->event, fn, arg);
    callout->queue = of;
}

int ble_npl_callout_reset(struct ble_npl_callout *callout, uint32_t ticks) {
    callout->due = ztimer_now(ZTIMER_MSEC) + ticks;
    callout->next = running;
    running = callout;
    return 0;
}

uint32_t ble_npl_time_ms_to_ticks32(uint32_t ms) { return ms; }

static void run_events(void) {
    for (;;) {
        riot_lock();
        struct ble_npl_event *event = queue.first;
        if (event != NULL) {
            queue.first = event->next;
            event->queued = 0;
        }
        riot_unlock();
        if (event == NULL) {
            return;
        }
        event->fn(event);
    }
}

static void run_callouts(void) {
    struct ble_npl_callout *due = running;
    running = NULL;
    while (due != NULL) {
        struct ble_npl_callout *next = due->next;
        if ((int32_t)(ztimer_now(ZTIMER_MSEC) - due->due) >= 0) {
            due->event.fn(&due->event);
        } else {
            due->next = running;
            running = due;
        }
        due = next;
    }
}

int nimble_run(int buffers) {
    struct pollfd waited = {wake[0], POLLIN, 0};
    if (poll(&waited, 1, 0) > 0) {
        uint8_t ignored[64];
        nimble_require(read(wake[0], ignored, sizeof ignored) > 0, "the pipe fails");
    }
    left = buffers;
    run_events();
    run_callouts();
    return running != NULL ? 1 : -1;
}

/* Buffers */

int os_msys_num_free(void) { return left; }

struct os_mbuf *nimble_allocate(const void *data, size_t length) {
    struct os_mbuf *om = malloc(sizeof *om + length);
    nimble_require(om != NULL, "no memory");
    memset(om, 0, sizeof *om);
    memcpy(om->om_data, data, length);
    om->om_len = (uint16_t)length;
    return om;
}

struct os_mbuf *ble_hs_mbuf_from_flat(const void *data, uint16_t length) {
    if (left == 0) {
        return NULL;
    }
    left--;
    return nimble_allocate(data, length);
}

int ble_hs_mbuf_to_flat(const struct os_mbuf *om, void *data, uint16_t capacity, uint16_t *length) {
    *length = om->om_len < capacity ? om->om_len : capacity;
    memcpy(data, om->om_data, *length);
    return om->om_len > capacity ? 1 : 0;
}

int os_mempool_init(struct os_mempool *pool, uint16_t blocks, uint32_t bytes, void *memory, char *name) {
    (void)name;
    nimble_require(!pool->registered, "a pool is registered twice");
    pool->free = NULL;
    pool->block_bytes = bytes;
    pool->registered = 1;
    uint32_t stride = (uint32_t)(OS_MEMPOOL_SIZE(1, bytes) * sizeof(os_membuf_t));
    for (uint16_t i = 0; i < blocks; i++) {
        struct os_mbuf *om = (struct os_mbuf *)(void *)((uint8_t *)memory + i * stride);
        om->next = pool->free;
        pool->free = om;
    }
    return 0;
}

int os_mempool_unregister(struct os_mempool *pool) {
    pool->registered = 0;
    return 0;
}

int os_mbuf_pool_init(struct os_mbuf_pool *pool, struct os_mempool *blocks, uint16_t bytes, uint16_t count) {
    (void)bytes;
    (void)count;
    pool->blocks = blocks;
    return 0;
}

struct os_mbuf *os_mbuf_get_pkthdr(struct os_mbuf_pool *pool, uint8_t header) {
    struct os_mbuf *om = pool->blocks->free;
    (void)header;
    if (om != NULL) {
        pool->blocks->free = om->next;
        memset(om, 0, sizeof *om);
        om->pool = pool;
    }
    return om;
}

int os_mbuf_append(struct os_mbuf *om, const void *data, uint16_t length) {
    uint32_t room = om->pool->blocks->block_bytes - (uint32_t)sizeof *om;
    if (om->om_len + (uint32_t)length > room) {
        return 1;
    }
    memcpy(om->om_data + om->om_len, data, length);
    om->om_len = (uint16_t)(om->om_len + length);
    return 0;
}

int os_mbuf_copydata(const struct os_mbuf *om, int offset, int length, void *data) {
    if (offset + length > om->om_len) {
        return -1;
    }
    memcpy(data, om->om_data + offset, (size_t)length);
    return 0;
}

int os_mbuf_free_chain(struct os_mbuf *om) {
    if (om != NULL && om->pool != NULL) {
        om->next = om->pool->blocks->free;
        om->pool->blocks->free = om;
    } else {
        free(om);
    }
    return 0;
}
