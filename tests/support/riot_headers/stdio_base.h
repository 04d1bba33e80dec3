/* RIOT's standard input and output. */
#ifndef STDIO_BASE_H
#define STDIO_BASE_H

#include <sys/types.h>

typedef void (*stdio_notify_cb_t)(void *arg);

int stdio_available(void);
ssize_t stdio_read(void *buffer, size_t size);
ssize_t stdio_write(const void *buffer, size_t size);
void stdio_set_notify(stdio_notify_cb_t callback, void *arg);

#endif
