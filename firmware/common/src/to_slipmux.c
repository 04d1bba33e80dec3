#include "tinyops/to_slipmux.h"

#include "tinyops/to_port.h"

#define END 0xC0u
#define ESC 0xDBu
#define ESC_END 0xDCu
#define ESC_ESC 0xDDu

#define TYPE_TEXT 0x0Au
#define TYPE_COAP 0xA9u

#define FCS_START 0xFFFFu
#define FCS_GOOD 0xF0B8u

uint16_t to_slipmux_fcs(uint16_t fcs, const uint8_t *data, size_t length) {
    /* CRC-16/X-25: polynomial 0x1021 reflected, four bits a step. */
    static const uint16_t table[16] = {0x0000, 0x1081, 0x2102, 0x3183, 0x4204, 0x5285, 0x6306, 0x7387,
                                       0x8408, 0x9489, 0xA50A, 0xB58B, 0xC60C, 0xD68D, 0xE70E, 0xF78F};
    for (size_t i = 0; i < length; i++) {
        fcs = (uint16_t)((fcs >> 4) ^ table[(fcs ^ data[i]) & 15u]);
        fcs = (uint16_t)((fcs >> 4) ^ table[(fcs ^ (data[i] >> 4)) & 15u]);
    }
    return fcs;
}

void to_slipmux_reset(to_slipmux_receiver *receiver) {
    receiver->length = 0;
    receiver->complete = 0;
    receiver->escaped = 0;
    receiver->broken = 0;
    receiver->dropped = 0;
}

static to_slipmux_kind frame_kind(const to_slipmux_receiver *receiver) {
    if (receiver->escaped || receiver->broken) {
        return TO_SLIPMUX_NONE;
    }
    if (receiver->frame[0] == TYPE_TEXT) {
        return TO_SLIPMUX_TEXT;
    }
    if (receiver->frame[0] == TYPE_COAP && receiver->length >= 3 &&
        to_slipmux_fcs(FCS_START, receiver->frame, receiver->length) == FCS_GOOD) {
        return TO_SLIPMUX_COAP;
    }
    return TO_SLIPMUX_NONE;
}

static to_slipmux_kind end_frame(to_slipmux_receiver *receiver) {
    to_slipmux_kind kind = TO_SLIPMUX_NONE;
    if (receiver->length > 0 || receiver->escaped || receiver->broken) {
        kind = frame_kind(receiver);
        if (kind == TO_SLIPMUX_NONE) {
            receiver->dropped++;
        }
    }
    receiver->complete = 1;
    receiver->escaped = 0;
    receiver->broken = 0;
    return kind;
}

/* RFC 1055; an escape of anything but END and ESC is malformed. Returns 0 when no byte is to be stored. */
static int unescape(to_slipmux_receiver *receiver, uint8_t *byte) {
    if (receiver->escaped) {
        receiver->escaped = 0;
        if (*byte != ESC_END && *byte != ESC_ESC) {
            receiver->broken = 1;
            return 0;
        }
        *byte = *byte == ESC_END ? END : ESC;
        return 1;
    }
    receiver->escaped = *byte == ESC;
    return !receiver->escaped;
}

to_slipmux_kind to_slipmux_feed(to_slipmux_receiver *receiver, uint8_t byte) {
    if (receiver->complete) {
        receiver->complete = 0;
        receiver->length = 0;
    }
    if (byte == END) {
        return end_frame(receiver);
    }
    if (!receiver->broken && unescape(receiver, &byte)) {
        if (receiver->length < sizeof receiver->frame) {
            receiver->frame[receiver->length++] = byte;
        } else {
            receiver->broken = 1;
        }
    }
    return TO_SLIPMUX_NONE;
}

const uint8_t *to_slipmux_content(const to_slipmux_receiver *receiver, size_t *length) {
    size_t around = receiver->frame[0] == TYPE_COAP ? 3 : 1;
    *length = receiver->length - around;
    return receiver->frame + 1;
}

/* Escaped bytes on their way to the port, handed over in pieces. */
typedef struct {
    uint8_t bytes[64];
    size_t length;
} stage;

static void flush(stage *out) {
    to_port_write(out->bytes, out->length);
    out->length = 0;
}

static void put_raw(stage *out, uint8_t byte) {
    out->bytes[out->length++] = byte;
    if (out->length == sizeof out->bytes) {
        flush(out);
    }
}

static void put(stage *out, const uint8_t *data, size_t length) {
    for (size_t i = 0; i < length; i++) {
        if (data[i] == END || data[i] == ESC) {
            put_raw(out, ESC);
            put_raw(out, data[i] == END ? ESC_END : ESC_ESC);
        } else {
            put_raw(out, data[i]);
        }
    }
}

void to_slipmux_send_coap(const uint8_t *message, size_t length) {
    static const uint8_t type = TYPE_COAP;
    stage out;
    out.length = 0;
    uint16_t fcs = (uint16_t)~to_slipmux_fcs(to_slipmux_fcs(FCS_START, &type, 1), message, length);
    uint8_t tail[2] = {(uint8_t)(fcs & 0xFFu), (uint8_t)(fcs >> 8)};
    put_raw(&out, END);
    put(&out, &type, 1);
    put(&out, message, length);
    put(&out, tail, sizeof tail);
    put_raw(&out, END);
    flush(&out);
}

void to_slipmux_send_text(const char *const *texts) {
    stage out;
    out.length = 0;
    put_raw(&out, END);
    put_raw(&out, TYPE_TEXT);
    for (; *texts != NULL; texts++) {
        for (const char *c = *texts; *c != '\0'; c++) {
            uint8_t byte = (uint8_t)*c;
            put(&out, &byte, 1);
        }
    }
    put_raw(&out, END);
    flush(&out);
}
