#include "tinyops/to_coap.h"

#include <string.h>

#include "tinyops/to_text.h"

#define HEADER_BYTES 4u
#define PAYLOAD_MARKER 0xFFu

/* Option numbers with this bit are critical: a receiver that does not know them must refuse the message. */
#define CRITICAL 1u

typedef struct {
    const uint8_t *at;
    const uint8_t *end;
} reader;

/* Delta or length of an option, whose nibble may announce one or two more bytes; -1 on a format error. */
static int32_t read_extended(reader *in, uint8_t nibble) {
    if (nibble < 13) {
        return nibble;
    }
    if (nibble == 13) {
        return in->end - in->at >= 1 ? 13 + *in->at++ : -1;
    }
    if (nibble == 14 && in->end - in->at >= 2) {
        int32_t value = 269 + (in->at[0] << 8 | in->at[1]);
        in->at += 2;
        return value;
    }
    return -1;
}

static uint32_t big_endian(to_coap_slice value) {
    uint32_t number = 0;
    for (uint16_t i = 0; i < value.length; i++) {
        number = number << 8 | value.bytes[i];
    }
    return number;
}

/* The take functions return 0 when the option must be treated as unknown: repeated, or of a wrong length. */
static int take_uint(to_coap_uint *field, to_coap_slice value, uint16_t max_length) {
    if (field->present || value.length > max_length) {
        return 0;
    }
    field->present = 1;
    field->value = big_endian(value);
    return 1;
}

static int take_block(to_coap_block *field, to_coap_slice value) {
    if (field->present || value.length > 3) {
        return 0;
    }
    uint32_t number = big_endian(value);
    field->present = 1;
    field->szx = number & 7u;
    field->more = (number >> 3) & 1u;
    field->number = number >> 4;
    return 1;
}

static int take_path(to_coap_message *message, to_coap_slice value) {
    if (message->path_segments == UINT8_MAX || value.length > 255) {
        return 0;
    }
    if (message->path_segments < TO_COAP_PATH_MAX) {
        message->path[message->path_segments] = value;
    }
    message->path_segments++;
    return 1;
}

/* In a request there may be several (RFC 7252, 5.10.6.2), which only a GET would ask about. */
static int take_etag(to_coap_message *message, to_coap_slice value) {
    if (value.length < 1 || value.length > TO_COAP_ETAG_MAX) {
        return 0;
    }
    if (message->etag.length == 0) {
        message->etag = value;
    }
    return 1;
}

static int take_echo(to_coap_message *message, to_coap_slice value) {
    if (value.length < 1 || value.length > TO_COAP_ECHO_MAX || message->echo.length > 0) {
        return 0;
    }
    message->echo = value;
    return 1;
}

#ifdef TO_OSCORE
static int take_oscore(to_coap_message *message, to_coap_slice value) {
    if (message->has_oscore || value.length > 255) {
        return 0;
    }
    message->has_oscore = 1;
    message->oscore = value;
    return 1;
}
#endif

static int take_query(to_coap_message *message, to_coap_slice value) {
    if (message->query_count == TO_COAP_QUERY_MAX || value.length > 255) {
        return 0;
    }
    message->queries[message->query_count++] = value;
    return 1;
}

static int take_option(to_coap_message *message, uint32_t number, to_coap_slice value) {
    switch (number) {
    case TO_COAP_OPTION_URI_HOST:
        return value.length >= 1 && value.length <= 255;
    case TO_COAP_OPTION_ETAG:
        return take_etag(message, value);
    case TO_COAP_OPTION_URI_PORT:
        return value.length <= 2;
#ifdef TO_OSCORE
    case TO_COAP_OPTION_OSCORE:
        return take_oscore(message, value);
#endif
    case TO_COAP_OPTION_URI_PATH:
        return take_path(message, value);
    case TO_COAP_OPTION_URI_QUERY:
        return take_query(message, value);
    case TO_COAP_OPTION_CONTENT_FORMAT:
        return take_uint(&message->content_format, value, 2);
    case TO_COAP_OPTION_ACCEPT:
        return take_uint(&message->accept, value, 2);
    case TO_COAP_OPTION_SIZE1:
        return take_uint(&message->size1, value, 4);
    case TO_COAP_OPTION_ECHO:
        return take_echo(message, value);
    case TO_COAP_OPTION_BLOCK1:
        return take_block(&message->block1, value);
    case TO_COAP_OPTION_BLOCK2:
        return take_block(&message->block2, value);
    default:
        return 0;
    }
}

static to_coap_result parse_options(to_coap_message *message, reader *in) {
    uint32_t number = 0;
    while (in->at < in->end && *in->at != PAYLOAD_MARKER) {
        uint8_t first = *in->at++;
        int32_t delta = read_extended(in, first >> 4);
        int32_t length = delta < 0 ? -1 : read_extended(in, first & 15u);
        if (length < 0 || length > in->end - in->at) {
            return TO_COAP_MALFORMED;
        }
        number += (uint32_t)delta;
        if (number > UINT16_MAX) {
            return TO_COAP_MALFORMED;
        }
        to_coap_slice value = {in->at, (uint16_t)length};
        in->at += length;
        if (!take_option(message, number, value) && (number & CRITICAL) && message->bad_option == 0) {
            message->bad_option = (uint16_t)number;
        }
    }
    return TO_COAP_OK;
}

to_coap_result to_coap_parse(to_coap_message *message, const uint8_t *data, size_t length) {
    memset(message, 0, sizeof *message);
    if (length < HEADER_BYTES || data[0] >> 6 != 1 || length > UINT16_MAX) {
        return TO_COAP_IGNORE;
    }
    message->type = (data[0] >> 4) & 3u;
    message->code = data[1];
    message->id = (uint16_t)(data[2] << 8 | data[3]);
    uint8_t token_length = data[0] & 15u;
    if (token_length > TO_COAP_TOKEN_MAX || HEADER_BYTES + token_length > length) {
        return TO_COAP_MALFORMED;
    }
    if (message->code == TO_COAP_EMPTY) {
        return length == HEADER_BYTES ? TO_COAP_OK : TO_COAP_MALFORMED;
    }
    message->token_length = token_length;
    memcpy(message->token, data + HEADER_BYTES, token_length);

    reader in = {data + HEADER_BYTES + token_length, data + length};
    if (parse_options(message, &in) != TO_COAP_OK) {
        return TO_COAP_MALFORMED;
    }
    if (in.at < in.end) {
        in.at++;
        if (in.at == in.end) {
            return TO_COAP_MALFORMED;
        }
        message->payload.bytes = in.at;
        message->payload.length = (uint16_t)(in.end - in.at);
    }
    return TO_COAP_OK;
}

int to_coap_slice_is(to_coap_slice slice, const char *text) {
    size_t length = strlen(text);
    return slice.length == length && (length == 0 || memcmp(slice.bytes, text, length) == 0);
}

static uint8_t *reserve(to_coap_writer *writer, size_t length) {
    if (writer->overflow || length > (size_t)(writer->capacity - writer->length)) {
        writer->overflow = 1;
        return NULL;
    }
    uint8_t *place = writer->bytes + writer->length;
    writer->length = (uint16_t)(writer->length + length);
    return place;
}

void to_coap_start(to_coap_writer *writer, uint8_t *bytes, size_t capacity, uint8_t type, uint8_t code,
                   uint16_t id, const uint8_t *token, uint8_t token_length) {
    memset(writer, 0, sizeof *writer);
    writer->bytes = bytes;
    writer->capacity = (uint16_t)(capacity < UINT16_MAX ? capacity : UINT16_MAX);
    uint8_t *header = reserve(writer, HEADER_BYTES + token_length);
    if (header == NULL) {
        return;
    }
    header[0] = (uint8_t)(0x40u | (unsigned)(type << 4) | token_length);
    header[1] = code;
    header[2] = (uint8_t)(id >> 8);
    header[3] = (uint8_t)id;
    for (uint8_t i = 0; i < token_length; i++) {
        header[HEADER_BYTES + i] = token[i];
    }
}

void to_coap_set_code(to_coap_writer *writer, uint8_t code) {
    if (!writer->overflow) {
        writer->bytes[1] = code;
    }
}

/* The nibble for a delta or length, and how many bytes follow it. */
static unsigned extended(unsigned value, unsigned *more) {
    *more = value < 13 ? 0u : value < 269 ? 1u : 2u;
    return value < 13 ? value : 12u + *more;
}

static uint8_t *put_extended(uint8_t *place, unsigned value, unsigned more) {
    if (more == 2) {
        *place++ = (uint8_t)((value - 269u) >> 8);
        *place++ = (uint8_t)(value - 269u);
    } else if (more == 1) {
        *place++ = (uint8_t)(value - 13u);
    }
    return place;
}

void to_coap_put_bytes(to_coap_writer *writer, uint16_t option, const uint8_t *bytes, uint16_t length) {
    unsigned delta = (unsigned)option - writer->last_option;
    unsigned more_delta, more_length;
    unsigned first = extended(delta, &more_delta) << 4;
    first |= extended(length, &more_length);
    uint8_t *place = reserve(writer, 1u + more_delta + more_length + length);
    if (place == NULL) {
        return;
    }
    writer->last_option = option;
    *place++ = (uint8_t)first;
    place = put_extended(place, delta, more_delta);
    place = put_extended(place, length, more_length);
    for (uint16_t i = 0; i < length; i++) {
        place[i] = bytes[i];
    }
}

void to_coap_put_uint(to_coap_writer *writer, uint16_t option, uint32_t value) {
    uint8_t bytes[4];
    uint8_t length = 0;
    while (length < 4 && value >> (8 * length) != 0) {
        length++;
    }
    for (uint8_t i = 0; i < length; i++) {
        bytes[i] = (uint8_t)(value >> (8 * (length - 1 - i)));
    }
    to_coap_put_bytes(writer, option, bytes, length);
}

void to_coap_put_block(to_coap_writer *writer, uint16_t option, uint32_t number, int more, uint8_t szx) {
    to_coap_put_uint(writer, option, number << 4 | (more ? 8u : 0u) | szx);
}

uint8_t *to_coap_put_payload(to_coap_writer *writer, size_t length) {
    uint8_t *place = reserve(writer, length + !writer->has_payload);
    if (place != NULL && !writer->has_payload) {
        writer->has_payload = 1;
        *place++ = PAYLOAD_MARKER;
    }
    return place;
}

void to_coap_put_text(to_coap_writer *writer, const char *text) {
    size_t length = strlen(text);
    uint8_t *place = length > 0 ? to_coap_put_payload(writer, length) : NULL;
    if (place != NULL) {
        memcpy(place, text, length);
    }
}

void to_coap_put_number(to_coap_writer *writer, uint32_t number) {
    to_number_text buffer;
    to_coap_put_text(writer, to_text_decimal(&buffer, number));
}
