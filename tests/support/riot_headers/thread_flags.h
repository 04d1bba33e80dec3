/* RIOT's flags of threads. */
#ifndef THREAD_FLAGS_H
#define THREAD_FLAGS_H

#include "thread.h"

typedef uint16_t thread_flags_t;

#define THREAD_FLAG_TIMEOUT (1u << 14)

void thread_flags_set(thread_t *thread, thread_flags_t mask);
thread_flags_t thread_flags_wait_any(thread_flags_t mask);

#endif
