#include "tinyops/to_text.h"

const char *to_text_decimal(to_number_text *buffer, uint32_t number) {
    char *at = buffer->text + sizeof buffer->text - 1;
    *at = '\0';
    do {
        *--at = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    return at;
}

const char *to_text_hex(to_number_text *buffer, uint32_t number) {
    char *at = buffer->text;
    *at++ = '0';
    *at++ = 'x';
    for (int shift = 28; shift >= 0; shift -= 4) {
        *at++ = "0123456789abcdef"[(number >> shift) & 15u];
    }
    *at = '\0';
    return buffer->text;
}
