/* RIOT's log, on standard error. */
#ifndef LOG_H
#define LOG_H

#include <stdio.h>

#define LOG_ERROR(...) fprintf(stderr, __VA_ARGS__)
#define LOG_WARNING(...) fprintf(stderr, __VA_ARGS__)
#define LOG_INFO(...) fprintf(stderr, __VA_ARGS__)

#endif
