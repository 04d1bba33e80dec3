/* Slipmux (draft-bormann-t2trg-slipmux): CoAP messages beside console text on one serial line. */
#ifndef TINYOPS_TO_SLIPMUX_H
#define TINYOPS_TO_SLIPMUX_H

#include <stddef.h>
#include <stdint.h>

#include "tinyops/to_coap.h"

/* A block of payload, the CoAP header with token, and 88 bytes of options. */
#define TO_SLIPMUX_MESSAGE_MAX (TO_COAP_BLOCK_MAX + 100u)

typedef enum { TO_SLIPMUX_NONE, TO_SLIPMUX_TEXT, TO_SLIPMUX_COAP } to_slipmux_kind;

typedef struct {
    uint8_t frame[1 + TO_SLIPMUX_MESSAGE_MAX + 2]; /* type, content, FCS */
    uint16_t length;
    uint8_t complete; /* the frame was handed out: the next byte starts a new one */
    uint8_t escaped;
    uint8_t broken;   /* the frame is oversize or malformed: skip to its end */
    uint32_t dropped; /* frames that were oversize, malformed, of unknown type or of a wrong FCS */
} to_slipmux_receiver;

void to_slipmux_reset(to_slipmux_receiver *receiver);

/* Takes one byte from the line. When it ends a good frame the kind is returned, and the content stays valid
 * until the next call. */
to_slipmux_kind to_slipmux_feed(to_slipmux_receiver *receiver, uint8_t byte);

/* The content of the frame that to_slipmux_feed has just completed. */
const uint8_t *to_slipmux_content(const to_slipmux_receiver *receiver, size_t *length);

/* FCS-16 of RFC 1662 over `length` bytes, continuing from `fcs` (start with 0xFFFF). */
uint16_t to_slipmux_fcs(uint16_t fcs, const uint8_t *data, size_t length);

void to_slipmux_send_coap(const uint8_t *message, size_t length);

/* One diagnostic frame with the texts one after the other; the list ends with NULL. */
void to_slipmux_send_text(const char *const *texts);

#endif
