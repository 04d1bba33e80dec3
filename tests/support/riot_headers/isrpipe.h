/* RIOT's pipes from interrupts to threads. */
#ifndef ISRPIPE_H
#define ISRPIPE_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
    uint8_t *memory;
    unsigned size;
    unsigned reads;
    unsigned writes;
} tsrb_t;

typedef struct {
    tsrb_t tsrb;
} isrpipe_t;

#define ISRPIPE_INIT(buffer) {{(buffer), sizeof(buffer), 0, 0}}

unsigned tsrb_avail(const tsrb_t *buffer);
int isrpipe_write_one(isrpipe_t *pipe, uint8_t byte); /* -1 when it is full */
int isrpipe_read(isrpipe_t *pipe, uint8_t *data, size_t size);

#endif
