/* CoAP messages in the values of a GATT service.
 *
 * Each value is a fragment: a header byte, and a part of a message. Bit 7 of the header marks the first
 * fragment of a message, bit 6 the last one; bits 5 to 0 count the fragments of this direction. What does not
 * fit together is dropped: CoAP sends it again.
 */
#ifndef TINYOPS_TO_FRAGMENTS_H
#define TINYOPS_TO_FRAGMENTS_H

#include <stddef.h>
#include <stdint.h>

#include "tinyops/to_slipmux.h"

/* The service, and its characteristics: written by the host, notified by the device; little-endian. */
#define TO_FRAGMENTS_UUID(member)                                                                            \
    0xb4, 0x91, 0x2a, 0x6f, 0x5d, 0x0e, 0x3e, 0x9c, 0x8e, 0x4b, 0xf1, 0x52, (member), 0x00, 0x0a, 0x7c
#define TO_FRAGMENTS_SERVICE TO_FRAGMENTS_UUID(0x01)
#define TO_FRAGMENTS_TO_DEVICE TO_FRAGMENTS_UUID(0x02)
#define TO_FRAGMENTS_FROM_DEVICE TO_FRAGMENTS_UUID(0x03)

/* Outgoing: all zero at the start of a connection. */
typedef struct {
    const uint8_t *message;
    size_t length;
    size_t at;
    uint8_t open; /* not all of the message is cut yet */
    uint8_t number;
} to_fragmenter;

/* Begins a message, which stays valid until it is cut up. */
void to_fragmenter_begin(to_fragmenter *fragmenter, const uint8_t *message, size_t length);

/* Stores the next fragment, of at most `size` bytes (2 or more); its length, or 0 when there is none left. */
size_t to_fragmenter_next(to_fragmenter *fragmenter, uint8_t *value, size_t size);

/* Incoming: all zero at the start of a connection. */
typedef struct {
    uint8_t message[TO_SLIPMUX_MESSAGE_MAX];
    uint16_t length;
    uint32_t parts; /* fragments of the message that have arrived; 0: none is open */
    uint8_t next;
    uint32_t dropped; /* fragments that belong to no whole message */
} to_reassembler;

/* Takes a value. The message that it completes, valid until the next call, and its length; NULL otherwise. */
const uint8_t *to_reassembler_feed(to_reassembler *reassembler, const uint8_t *value, size_t size,
                                   size_t *length);

#endif
