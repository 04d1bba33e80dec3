/* RIOT's event queues. */
#ifndef EVENT_H
#define EVENT_H

#include "ztimer.h"

typedef struct event event_t;
typedef void (*event_handler_t)(event_t *event);

struct event {
    event_t *next;
    int queued;
    event_handler_t handler;
};

typedef struct {
    event_t *first;
} event_queue_t;

#define EVENT_QUEUE_INIT_DETACHED {0}

void event_queue_claim(event_queue_t *queue);
void event_post(event_queue_t *queue,
                event_t *event); /* also from interrupts; one that is posted stays where it is */
event_t *event_wait(event_queue_t *queue);
event_t *event_wait_timeout_ztimer(event_queue_t *queue, ztimer_clock_t *clock, uint32_t timeout);

#endif
