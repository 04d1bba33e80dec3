#include "tinyops/to_fragments.h"

#include <string.h>

#define FIRST 0x80u
#define LAST 0x40u
#define COUNT 0x3Fu

void to_fragmenter_begin(to_fragmenter *fragmenter, const uint8_t *message, size_t length) {
    fragmenter->message = message;
    fragmenter->length = length;
    fragmenter->at = 0;
    fragmenter->open = 1;
}

size_t to_fragmenter_next(to_fragmenter *fragmenter, uint8_t *value, size_t size) {
    if (!fragmenter->open) {
        return 0;
    }
    size_t left = fragmenter->length - fragmenter->at;
    size_t part = left < size - 1 ? left : size - 1;
    fragmenter->open = part < left;
    value[0] =
        (uint8_t)((fragmenter->at == 0 ? FIRST : 0u) | (fragmenter->open ? 0u : LAST) | fragmenter->number);
    memcpy(value + 1, fragmenter->message + fragmenter->at, part);
    fragmenter->at += part;
    fragmenter->number = (uint8_t)((fragmenter->number + 1u) & COUNT);
    return 1 + part;
}

static void drop(to_reassembler *reassembler, unsigned fragments) {
    reassembler->dropped += reassembler->parts + fragments;
    reassembler->parts = 0;
}

const uint8_t *to_reassembler_feed(to_reassembler *reassembler, const uint8_t *value, size_t size,
                                   size_t *length) {
    if (size == 0) {
        reassembler->dropped++;
        return NULL;
    }
    unsigned number = value[0] & COUNT;
    if ((value[0] & FIRST) != 0) {
        drop(reassembler, 0);
        reassembler->length = 0;
    } else if (reassembler->parts == 0 || number != reassembler->next) {
        drop(reassembler, 1);
        return NULL;
    }
    if (size - 1 > sizeof reassembler->message - reassembler->length) {
        drop(reassembler, 1);
        return NULL;
    }
    memcpy(reassembler->message + reassembler->length, value + 1, size - 1);
    reassembler->length = (uint16_t)(reassembler->length + (size - 1));
    reassembler->parts++;
    reassembler->next = (uint8_t)((number + 1u) & COUNT);
    if ((value[0] & LAST) == 0) {
        return NULL;
    }
    reassembler->parts = 0;
    *length = reassembler->length;
    return reassembler->message;
}
