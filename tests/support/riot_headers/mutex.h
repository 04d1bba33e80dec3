/* RIOT's mutexes; any thread may unlock them. */
#ifndef MUTEX_H
#define MUTEX_H

typedef struct {
    int locked;
} mutex_t;

#define MUTEX_INIT {0}
#define MUTEX_INIT_LOCKED {1}

static inline void mutex_init(mutex_t *mutex) { mutex->locked = 0; }
static inline void mutex_init_locked(mutex_t *mutex) { mutex->locked = 1; }

void mutex_lock(mutex_t *mutex);
int mutex_trylock(mutex_t *mutex);
void mutex_unlock(mutex_t *mutex);

#endif
