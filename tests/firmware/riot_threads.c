/* What RIOT's modules of tinyops need of RIOT's kernel, on POSIX threads; declared in
 * tests/support/riot_headers. Start: main() calls riot_start, which runs the functions of AUTO_INIT. */
#include "riot_threads.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "event.h"
#include "fmt.h"
#include "irq.h"
#include "isrpipe.h"
#include "periph/pm.h"
#include "random.h"
#include "rmutex.h"
#include "thread.h"
#include "ztimer.h"

/* One lock for all; whatever changes under it wakes all who wait. */
static pthread_mutex_t kernel = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;

void riot_lock(void) { pthread_mutex_lock(&kernel); }

void riot_unlock(void) {
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&kernel);
}

void riot_wait(void) { pthread_cond_wait(&changed, &kernel); }

/* Clocks */

static ztimer_clock_t milliseconds = {1000};
ztimer_clock_t *const ZTIMER_MSEC = &milliseconds;

static uint64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000u + (uint64_t)now.tv_nsec / 1000000u;
}

uint32_t ztimer_now(ztimer_clock_t *clock) {
    (void)clock;
    return (uint32_t)now_ms();
}

void ztimer_sleep(ztimer_clock_t *clock, uint32_t duration) {
    struct timespec time = {duration / 1000u, (long)(duration % 1000u) * 1000000l};
    (void)clock;
    nanosleep(&time, NULL);
}

/* Waits for a change until `end`; 0 after it. */
static int wait_until(uint64_t end) {
    struct timespec time = {(time_t)(end / 1000u), (long)(end % 1000u) * 1000000l};
    return pthread_cond_clockwait(&changed, &kernel, CLOCK_MONOTONIC, &time) == 0;
}

/* Mutexes */

void mutex_lock(mutex_t *mutex) {
    riot_lock();
    while (mutex->locked) {
        riot_wait();
    }
    mutex->locked = 1;
    riot_unlock();
}

int ztimer_mutex_lock_timeout(ztimer_clock_t *clock, mutex_t *mutex, uint32_t timeout) {
    uint64_t end = now_ms() + timeout;
    int result = 0;
    (void)clock;
    riot_lock();
    while (mutex->locked && result == 0) {
        result = wait_until(end) ? 0 : -ECANCELED;
    }
    if (!mutex->locked) {
        result = 0;
        mutex->locked = 1;
    }
    riot_unlock();
    return result;
}

void mutex_unlock(mutex_t *mutex) {
    riot_lock();
    mutex->locked = 0;
    riot_unlock();
}

void rmutex_lock(rmutex_t *mutex) {
    unsigned long self = (unsigned long)pthread_self();
    riot_lock();
    while (mutex->depth > 0 && mutex->owner != self) {
        riot_wait();
    }
    mutex->owner = self;
    mutex->depth++;
    riot_unlock();
}

void rmutex_unlock(rmutex_t *mutex) {
    riot_lock();
    if (mutex->depth == 0 || mutex->owner != (unsigned long)pthread_self()) {
        fputs("rmutex_unlock: by another thread\n", stderr);
        abort();
    }
    mutex->depth--;
    riot_unlock();
}

/* Interrupts */

static pthread_mutex_t interrupts = PTHREAD_MUTEX_INITIALIZER;

unsigned irq_disable(void) {
    pthread_mutex_lock(&interrupts);
    return 0;
}

void irq_restore(unsigned state) {
    (void)state;
    pthread_mutex_unlock(&interrupts);
}

/* Events */

void event_queue_claim(event_queue_t *queue) { (void)queue; }

void event_post(event_queue_t *queue, event_t *event) {
    riot_lock();
    if (!event->queued) {
        event_t **last = &queue->first;
        while (*last != NULL) {
            last = &(*last)->next;
        }
        event->next = NULL;
        event->queued = 1;
        *last = event;
    }
    riot_unlock();
}

static event_t *take(event_queue_t *queue) {
    event_t *event = queue->first;
    if (event != NULL) {
        queue->first = event->next;
        event->queued = 0;
    }
    return event;
}

event_t *event_wait(event_queue_t *queue) {
    riot_lock();
    event_t *event;
    while ((event = take(queue)) == NULL) {
        riot_wait();
    }
    riot_unlock();
    return event;
}

event_t *event_wait_timeout_ztimer(event_queue_t *queue, ztimer_clock_t *clock, uint32_t timeout) {
    uint64_t end = now_ms() + timeout;
    (void)clock;
    riot_lock();
    event_t *event = take(queue);
    while (event == NULL && wait_until(end)) {
        event = take(queue);
    }
    riot_unlock();
    return event;
}

/* Threads */

static _Thread_local thread_t *active;

typedef struct {
    thread_task_func_t function;
    void *argument;
    thread_t *thread;
} start_of_thread;

static void *run(void *context) {
    start_of_thread *start = context;
    active = start->thread;
    return start->function(start->argument);
}

thread_t *thread_get_active(void) { return active; }

kernel_pid_t thread_create(char *stack, int stacksize, uint8_t priority, int flags,
                           thread_task_func_t function, void *argument, const char *name) {
    static start_of_thread started[4];
    static int count;
    pthread_attr_t attributes;
    pthread_t thread;
    start_of_thread *start = &started[count];
    start->function = function;
    start->argument = argument;
    start->thread = (thread_t *)(void *)(stack + stacksize - sizeof(thread_t));
    (void)priority;
    (void)flags;
    (void)name;
    pthread_attr_init(&attributes);
    if (pthread_attr_setstack(&attributes, stack, (size_t)stacksize - sizeof(thread_t)) != 0 ||
        pthread_create(&thread, &attributes, run, start) != 0) {
        fputs("thread_create: fails\n", stderr);
        abort();
    }
    return (kernel_pid_t)++count;
}

/* Bytes from interrupts */

unsigned tsrb_avail(const tsrb_t *buffer) {
    riot_lock();
    unsigned available = buffer->writes - buffer->reads;
    riot_unlock();
    return available;
}

int isrpipe_write_one(isrpipe_t *pipe, uint8_t byte) {
    tsrb_t *buffer = &pipe->tsrb;
    riot_lock();
    int fits = buffer->writes - buffer->reads < buffer->size;
    if (fits) {
        buffer->memory[buffer->writes++ % buffer->size] = byte;
    }
    riot_unlock();
    return fits ? 0 : -1;
}

int isrpipe_read(isrpipe_t *pipe, uint8_t *data, size_t size) {
    tsrb_t *buffer = &pipe->tsrb;
    int count = 0;
    riot_lock();
    while (buffer->writes == buffer->reads) {
        riot_wait();
    }
    while ((size_t)count < size && buffer->reads != buffer->writes) {
        data[count++] = buffer->memory[buffer->reads++ % buffer->size];
    }
    riot_unlock();
    return count;
}

/* The rest */

void print_str(const char *text) {
    fputs(text, stdout);
    fflush(stdout);
}

void random_bytes(uint8_t *bytes, size_t size) {
    static uint32_t state = 1;
    for (size_t i = 0; i < size; i++) {
        state = state * UINT32_C(1664525) + UINT32_C(1013904223);
        bytes[i] = (uint8_t)(state >> 24);
    }
}

void pm_off(void) { exit(0); }

void pm_reboot(void) { exit(64); }

extern void (*const __start_auto_init[])(void);
extern void (*const __stop_auto_init[])(void);

void riot_start(void) {
    for (void (*const *function)(void) = __start_auto_init; function < __stop_auto_init; function++) {
        (*function)();
    }
}
