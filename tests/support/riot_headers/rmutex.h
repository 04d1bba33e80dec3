/* RIOT's mutexes that a thread may lock again. */
#ifndef RMUTEX_H
#define RMUTEX_H

#include "mutex.h"

typedef struct {
    mutex_t mutex;
    unsigned depth;
    unsigned long owner;
} rmutex_t;

#define RMUTEX_INIT {MUTEX_INIT, 0, 0}

void rmutex_lock(rmutex_t *mutex);
void rmutex_unlock(rmutex_t *mutex);

#endif
