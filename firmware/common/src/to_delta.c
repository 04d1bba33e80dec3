#include "tinyops/to_delta.h"

#include <string.h>

#define METHOD 1u
#define STREAM_START 4u /* bytes that fill the decoder's code */
#define LEAST_RANGE (UINT32_C(1) << 24)
#define ONE (1u << 15) /* of a probability */
#define HALF (ONE / 2u)
#define RATE 5

static uint32_t get_u32(const uint8_t *at) {
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

void to_delta_start(to_delta *delta, const uint8_t *base, uint32_t base_bytes, const uint8_t *base_digest,
                    uint32_t limit, to_delta_output output, void *context) {
    memset(delta, 0, sizeof *delta);
    delta->base = base;
    delta->base_digest = base_digest;
    delta->base_bytes = base_bytes;
    delta->limit = limit;
    delta->output = output;
    delta->context = context;
    delta->range = UINT32_C(0xFFFFFFFF);
    for (uint32_t i = 0; i < TO_DELTA_MODELS; i++) {
        delta->models[i] = HALF;
    }
}

static to_delta_result read_header(to_delta *delta) {
    static const uint8_t start[5] = {'T', 'O', 'D', '1', METHOD};
    const uint8_t *header = delta->block;
    uint32_t lanes = header[5];
    if (memcmp(header, start, sizeof start) != 0 || lanes == 0 || lanes > TO_DELTA_LANES || lanes == 3 ||
        header[6] != 0 || header[7] != 0) {
        return TO_DELTA_MALFORMED;
    }
    if (get_u32(header + 8) != delta->base_bytes || memcmp(header + 16, delta->base_digest, 32) != 0) {
        return TO_DELTA_BASE;
    }
    uint32_t size = get_u32(header + 12);
    if (size == 0 || size > delta->limit) {
        return TO_DELTA_SIZE;
    }
    delta->size = size;
    delta->lane_mask = (uint8_t)(lanes - 1u);
    memcpy(delta->digest, header + 48, sizeof delta->digest);
    return TO_DELTA_OK;
}

static to_delta_result put(to_delta *delta, uint32_t residual) {
    uint32_t position = delta->position++;
    uint32_t filled = position % TO_DELTA_BLOCK;
    uint32_t old = position < delta->base_bytes ? delta->base[position] : 0;
    delta->block[filled] = (uint8_t)((old + residual) & 0xFFu);
    delta->history = delta->class_bits < 3 ? delta->class_bits : 3;
    delta->class_bits = 0;
    if (++filled < TO_DELTA_BLOCK && delta->position < delta->size) {
        return TO_DELTA_OK;
    }
    return delta->output(delta->context, delta->position - filled, delta->block, filled) == 0
               ? TO_DELTA_OK
               : TO_DELTA_OUTPUT;
}

/* The model of the next bit; NULL: both values are equally likely. */
static uint16_t *model(to_delta *delta) {
    uint32_t bits = delta->class_bits;
    if (delta->missing == 0) {
        uint32_t lane = delta->position & delta->lane_mask;
        return &delta->models[8u * (TO_DELTA_HISTORY * lane + delta->history) + bits];
    }
    return delta->missing == bits ? &delta->models[8u * TO_DELTA_HISTORY * TO_DELTA_LANES + bits] : NULL;
}

static uint32_t decode_bit(to_delta *delta) {
    uint16_t *one_model = model(delta);
    uint32_t probability = one_model != NULL ? *one_model : HALF; /* of a zero: 31 to ONE - 31 */
    uint32_t bound = (delta->range / ONE) * probability;
    uint32_t bit = delta->code >= bound;
    if (bit) {
        delta->code -= bound;
        delta->range -= bound;
        probability -= probability >> RATE;
    } else {
        delta->range = bound;
        probability += (ONE - probability) >> RATE;
    }
    if (one_model != NULL) {
        *one_model = (uint16_t)probability;
    }
    return bit;
}

static to_delta_result step(to_delta *delta) {
    uint32_t bit = decode_bit(delta);
    if (delta->missing == 0) { /* a bit of the class */
        delta->class_bits = (uint8_t)(delta->class_bits + bit);
        if (delta->class_bits == 8) {
            return put(delta, 128);
        }
        if (bit == 0) {
            delta->magnitude = 1;
            delta->missing = delta->class_bits;
            if (delta->class_bits == 0) {
                return put(delta, 0);
            }
        }
        return TO_DELTA_OK;
    }
    if (--delta->missing > 0) {
        delta->magnitude = (uint8_t)(2u * delta->magnitude + bit);
        return TO_DELTA_OK;
    }
    return put(delta, bit ? 256u - delta->magnitude : delta->magnitude);
}

static to_delta_result take(to_delta *delta, uint8_t byte) {
    uint32_t received = delta->received++;
    if (received < TO_DELTA_HEADER_BYTES) {
        delta->block[received] = byte;
        return delta->received < TO_DELTA_HEADER_BYTES ? TO_DELTA_OK : read_header(delta);
    }
    if (delta->position == delta->size) {
        return TO_DELTA_MALFORMED;
    }
    delta->code = delta->code << 8 | byte;
    if (delta->received < TO_DELTA_HEADER_BYTES + STREAM_START) {
        return TO_DELTA_OK;
    }
    if (delta->received > TO_DELTA_HEADER_BYTES + STREAM_START) {
        delta->range <<= 8;
    }
    while (delta->range >= LEAST_RANGE && delta->position < delta->size) {
        to_delta_result result = step(delta);
        if (result != TO_DELTA_OK) {
            return result;
        }
    }
    return delta->position == delta->size && delta->code != 0 ? TO_DELTA_MALFORMED : TO_DELTA_OK;
}

to_delta_result to_delta_feed(to_delta *delta, const uint8_t *data, uint32_t size) {
    for (uint32_t i = 0; i < size && delta->result == TO_DELTA_OK; i++) {
        delta->result = (uint8_t)take(delta, data[i]);
    }
    return (to_delta_result)delta->result;
}

to_delta_result to_delta_end(const to_delta *delta) {
    if (delta->result != TO_DELTA_OK) {
        return (to_delta_result)delta->result;
    }
    return delta->size != 0 && delta->position == delta->size ? TO_DELTA_OK : TO_DELTA_SHORT;
}
