/* For the programs that stand for a RIOT application: their own view of riot_threads.c. */
#ifndef RIOT_THREADS_H
#define RIOT_THREADS_H

/* The functions of AUTO_INIT. */
void riot_start(void);

/* The kernel's lock, and a wait for whatever changes under it. */
void riot_lock(void);
void riot_unlock(void);
void riot_wait(void);

#endif
