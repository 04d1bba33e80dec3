/* RIOT's threads. */
#ifndef THREAD_H
#define THREAD_H

#include <stddef.h>
#include <stdint.h>

typedef int16_t kernel_pid_t;
typedef struct {
    char *sp;
} thread_t;
typedef void *(*thread_task_func_t)(void *arg);

#define KERNEL_PID_UNDEF 0
#define THREAD_PRIORITY_MAIN 7
#define THREAD_STACKSIZE_DEFAULT 8192
#define THREAD_STACKSIZE_MAIN CONFIG_TINYOPS_STACK_BYTES

thread_t *thread_get_active(void);
thread_t *thread_get(kernel_pid_t pid);
kernel_pid_t thread_getpid(void);
void sched_change_priority(thread_t *thread, uint8_t priority); /* with interrupts disabled */
kernel_pid_t thread_create(char *stack, int stacksize, uint8_t priority, int flags,
                           thread_task_func_t function, void *arg, const char *name);

#endif
