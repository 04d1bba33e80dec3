/* NimBLE's queue of events, and its timers. */
#ifndef NIMBLE_PORT_H
#define NIMBLE_PORT_H

#include <stdint.h>

struct ble_npl_event;
typedef void ble_npl_event_fn(struct ble_npl_event *event);

struct ble_npl_event {
    ble_npl_event_fn *fn;
    void *arg;
    struct ble_npl_event *next;
    int queued;
};

struct ble_npl_eventq {
    struct ble_npl_event *first;
};

struct ble_npl_callout {
    struct ble_npl_event event;
    struct ble_npl_eventq *queue;
    uint32_t due;
    struct ble_npl_callout *next; /* of those that run */
};

struct ble_npl_eventq *nimble_port_get_dflt_eventq(void);
void ble_npl_event_init(struct ble_npl_event *event, ble_npl_event_fn *fn, void *arg);
void ble_npl_eventq_put(struct ble_npl_eventq *queue, struct ble_npl_event *event);
void ble_npl_callout_init(struct ble_npl_callout *callout, struct ble_npl_eventq *queue, ble_npl_event_fn *fn,
                          void *arg);
int ble_npl_callout_reset(struct ble_npl_callout *callout, uint32_t ticks);
uint32_t ble_npl_time_ms_to_ticks32(uint32_t ms);

#endif
