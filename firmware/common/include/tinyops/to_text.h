/* Numbers as text, where a printf would be too large. */
#ifndef TINYOPS_TO_TEXT_H
#define TINYOPS_TO_TEXT_H

#include <stdint.h>

typedef struct {
    char text[11];
} to_number_text;

/* Both return a pointer into `buffer`. */
const char *to_text_decimal(to_number_text *buffer, uint32_t number);
const char *to_text_hex(to_number_text *buffer, uint32_t number); /* 0x and eight digits */

#endif
