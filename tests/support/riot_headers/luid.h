/* RIOT's identifiers that are unique on a link. */
#ifndef LUID_H
#define LUID_H

#include <stddef.h>

void luid_base(void *buf, size_t len);

#endif
