/* RIOT's clocks and timers. */
#ifndef ZTIMER_H
#define ZTIMER_H

#include <stdint.h>

#include "mutex.h"

typedef struct {
    uint32_t hertz;
} ztimer_clock_t;

extern ztimer_clock_t *const ZTIMER_MSEC;

uint32_t ztimer_now(ztimer_clock_t *clock);
void ztimer_sleep(ztimer_clock_t *clock, uint32_t duration);

typedef struct {
    int is_set;
} ztimer_t;

/* Sets THREAD_FLAG_TIMEOUT of the calling thread. */
void ztimer_set_timeout_flag(ztimer_clock_t *clock, ztimer_t *timer, uint32_t timeout);
void ztimer_remove(ztimer_clock_t *clock, ztimer_t *timer);

/* 0 when it is locked, -ECANCELED after the timeout. */
int ztimer_mutex_lock_timeout(ztimer_clock_t *clock, mutex_t *mutex, uint32_t timeout);

#endif
