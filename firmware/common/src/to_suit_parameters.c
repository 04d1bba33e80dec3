#include <string.h>

#include "to_suit_inner.h"

static const to_suit_command COMMANDS[] = {
    {CONDITION_VENDOR, PARAMETER_VENDOR, KIND_CONDITION},
    {CONDITION_CLASS, PARAMETER_CLASS, KIND_CONDITION},
    {CONDITION_IMAGE_MATCH, PARAMETER_DIGEST, KIND_CONDITION},
    {CONDITION_USE_BEFORE, PARAMETER_USE_BEFORE, KIND_CONDITION},
    {CONDITION_SLOT, PARAMETER_SLOT, KIND_CONDITION},
    {CONDITION_CHECK_CONTENT, PARAMETER_CONTENT, KIND_CONDITION},
    {DIRECTIVE_SET_COMPONENT_INDEX, 0, KIND_CONTROL},
    {CONDITION_ABORT, 0, KIND_CONDITION},
    {DIRECTIVE_TRY_EACH, 0, KIND_CONTROL},
    {DIRECTIVE_WRITE, PARAMETER_CONTENT, KIND_ACTION},
    {DIRECTIVE_OVERRIDE_PARAMETERS, 0, KIND_CONTROL},
    {DIRECTIVE_FETCH, PARAMETER_URI, KIND_ACTION},
    {DIRECTIVE_COPY, PARAMETER_SOURCE, KIND_ACTION},
    {DIRECTIVE_INVOKE, 0, KIND_ACTION},
    {CONDITION_DEVICE, PARAMETER_DEVICE, KIND_CONDITION},
    {CONDITION_IMAGE_NOT_MATCH, PARAMETER_DIGEST, KIND_CONDITION},
    {CONDITION_MINIMUM_BATTERY, PARAMETER_BATTERY, KIND_CONDITION},
    {CONDITION_AUTHORIZED, PARAMETER_PRIORITY, KIND_CONDITION},
    {CONDITION_COMPONENT_VERSION, PARAMETER_COMPONENT_VERSION, KIND_CONDITION},
    {DIRECTIVE_SWAP, PARAMETER_SOURCE, KIND_ACTION},
    {DIRECTIVE_RUN_SEQUENCE, 0, KIND_CONTROL},
};

const to_suit_command *to_suit_find_command(int32_t number) {
    for (uint32_t i = 0; i < sizeof COMMANDS / sizeof *COMMANDS; i++) {
        if (COMMANDS[i].number == number) {
            return &COMMANDS[i];
        }
    }
    return NULL;
}

const uint8_t *to_suit_read_digest(to_span encoded, to_reason *reason) {
    to_cbor_reader reader;
    to_cbor_read(&reader, encoded);
    uint32_t items = to_cbor_get_array(&reader);
    int32_t algorithm = to_cbor_get_int(&reader);
    to_span digest = to_cbor_get_bytes(&reader);
    *reason = to_cbor_done(&reader);
    if (*reason != TO_REASON_OK) {
        return NULL;
    }
    if (items != 2u || (algorithm == TO_SUIT_SHA_256 && digest.size != TO_SHA256_BYTES)) {
        *reason = TO_REASON_PARAMETER_MALFORMED;
    } else if (algorithm != TO_SUIT_SHA_256) {
        *reason = TO_REASON_UNSUPPORTED;
    }
    return *reason == TO_REASON_OK ? digest.bytes : NULL;
}

uint8_t to_suit_read_index(to_cbor_reader *reader, uint32_t count) {
    uint32_t all = (UINT32_C(1) << count) - 1u;
    uint32_t selected = 0;
    switch (to_cbor_next(reader)) {
    case TO_CBOR_SIMPLE:
        if (to_cbor_get_bool(reader)) {
            return (uint8_t)all;
        }
        break;
    case TO_CBOR_UINT: {
        uint64_t index = to_cbor_get_uint(reader);
        if (index < count) {
            return (uint8_t)(1u << index);
        }
        break;
    }
    case TO_CBOR_ARRAY:
        for (uint32_t n = to_cbor_get_array(reader); n > 0; n--) {
            uint64_t index = to_cbor_get_uint(reader);
            if (index >= count || selected >> index != 0) {
                to_cbor_fail(reader, TO_REASON_PARAMETER_MALFORMED);
                return 0;
            }
            selected |= 1u << index;
        }
        break;
    default:
        break;
    }
    if (selected == 0) {
        to_cbor_fail(reader, TO_REASON_PARAMETER_MALFORMED);
    }
    return (uint8_t)selected;
}

/* 1 to TO_SUIT_VERSION_NUMBERS numbers; how many, or 0. */
static uint32_t read_numbers(to_cbor_reader *reader, int32_t *numbers) {
    uint32_t count = to_cbor_get_array(reader);
    if (count > TO_SUIT_VERSION_NUMBERS) {
        return 0;
    }
    for (uint32_t i = 0; i < count; i++) {
        numbers[i] = to_cbor_get_int(reader);
    }
    return to_cbor_done(reader) == TO_REASON_OK ? count : 0;
}

int to_suit_is_version(to_span encoded) {
    to_cbor_reader reader;
    int32_t numbers[TO_SUIT_VERSION_NUMBERS];
    to_cbor_read(&reader, encoded);
    return read_numbers(&reader, numbers) != 0;
}

int to_suit_read_version(to_span encoded, to_suit_version_match *match) {
    to_cbor_reader reader;
    to_cbor_read(&reader, encoded);
    uint32_t items = to_cbor_get_array(&reader);
    match->comparison = to_cbor_get_int(&reader);
    match->count = read_numbers(&reader, match->numbers);
    return items == 2u && match->comparison >= 1 && match->comparison <= 5 && match->count != 0;
}

static const uint8_t *get_uuid(to_cbor_reader *reader) {
    to_span uuid = to_cbor_get_bytes(reader);
    if (uuid.size != TO_SUIT_UUID_BYTES) {
        to_cbor_fail(reader, TO_REASON_PARAMETER_MALFORMED);
    }
    return uuid.bytes;
}

static uint32_t get_uint32(to_cbor_reader *reader) {
    uint64_t value = to_cbor_get_uint(reader);
    if (value > UINT32_MAX) {
        to_cbor_fail(reader, TO_REASON_PARAMETER_MALFORMED);
    }
    return (uint32_t)value;
}

static to_span get_uri(to_cbor_reader *reader) {
    to_span uri = to_cbor_get_text(reader);
    if (uri.size < 1u || uri.size > TO_SUIT_URI_MAX) {
        to_cbor_fail(reader, TO_REASON_PARAMETER_MALFORMED);
    }
    return uri;
}

/* The form of a SUIT_Encryption_Info; whether this device has a key for it shows when it is used. */
static to_span get_encryption_info(to_cbor_reader *reader) {
    to_span info = to_cbor_get_bytes(reader);
    to_reason reason = to_cose_check_encryption(info);
    if (reason != TO_REASON_OK) {
        to_cbor_fail(reader, reason == TO_REASON_UNSUPPORTED ? reason : TO_REASON_PARAMETER_MALFORMED);
    }
    return info;
}

static to_span get_version(to_cbor_reader *reader) {
    to_suit_version_match match;
    to_span version = to_cbor_get_bytes(reader);
    if (!to_suit_read_version(version, &match)) {
        to_cbor_fail(reader, TO_REASON_PARAMETER_MALFORMED);
    }
    return version;
}

static const uint8_t *get_digest(to_cbor_reader *reader) {
    to_reason reason;
    const uint8_t *digest = to_suit_read_digest(to_cbor_get_bytes(reader), &reason);
    if (digest == NULL) {
        to_cbor_fail(reader, reason == TO_REASON_UNSUPPORTED ? reason : TO_REASON_PARAMETER_MALFORMED);
    }
    return digest;
}

/* One value. What is not well-formed is found before; other errors are of type, length or range. */
static void read_value(to_cbor_reader *reader, int32_t key, to_suit_parameters *p) {
    switch (key) {
    case PARAMETER_VENDOR:
        p->vendor = get_uuid(reader);
        break;
    case PARAMETER_CLASS:
        p->class_id = get_uuid(reader);
        break;
    case PARAMETER_DEVICE:
        p->device_id = get_uuid(reader);
        break;
    case PARAMETER_DIGEST:
        p->digest = get_digest(reader);
        break;
    case PARAMETER_USE_BEFORE:
        p->use_before = to_cbor_get_uint(reader);
        break;
    case PARAMETER_SLOT:
        p->slot = get_uint32(reader);
        break;
    case PARAMETER_STRICT_ORDER: /* everything runs in order */
        (void)to_cbor_get_bool(reader);
        break;
    case PARAMETER_SIZE:
        p->size = get_uint32(reader);
        break;
    case PARAMETER_CONTENT:
        p->content = to_cbor_get_bytes(reader);
        break;
    case PARAMETER_ENCRYPTION_INFO:
        p->encryption_info = get_encryption_info(reader);
        break;
    case PARAMETER_URI:
        p->uri = get_uri(reader);
        break;
    case PARAMETER_INVOKE_ARGS:
        p->invoke_args = to_cbor_get_bytes(reader);
        break;
    case PARAMETER_BATTERY:
        p->battery = to_cbor_get_uint(reader);
        break;
    case PARAMETER_PRIORITY:
        p->priority = to_cbor_get_int(reader);
        break;
    case PARAMETER_COMPONENT_VERSION:
        p->version = get_version(reader);
        break;
    default:
        to_cbor_fail(reader, TO_REASON_COMMAND_UNKNOWN);
    }
}

static uint8_t get_source(to_cbor_reader *reader, uint32_t component, uint32_t components) {
    uint64_t source = to_cbor_get_uint(reader);
    if (source >= components || source == component) {
        to_cbor_fail(reader, TO_REASON_PARAMETER_MALFORMED);
        return 0;
    }
    return (uint8_t)source;
}

void to_suit_read_parameters(to_cbor_reader *reader, to_suit_parameters *parameters, uint32_t component,
                             uint32_t components, to_suit_softness *soft) {
    to_span previous = {NULL, 0};
    uint32_t count = to_cbor_get_map(reader);
    if (count == 0) {
        to_cbor_fail(reader, TO_REASON_PARAMETER_MALFORMED);
    }
    for (; count > 0 && reader->error == TO_REASON_OK; count--) {
        to_cbor_reader value;
        to_cbor_key(reader, &previous);
        to_cbor_type type = to_cbor_next(reader);
        int32_t key = type <= TO_CBOR_NEGATIVE ? to_cbor_get_int(reader) : 0;
        if (type > TO_CBOR_NEGATIVE) {
            to_cbor_fail(reader, TO_REASON_MALFORMED_CBOR);
        }
        to_cbor_read(&value, to_cbor_skip(reader));
        if (reader->error != TO_REASON_OK) {
            return;
        }
        if (key == PARAMETER_SOFT_FAILURE) {
            soft->set = 1;
            soft->value = (uint8_t)to_cbor_get_bool(&value);
        } else if (key == PARAMETER_SOURCE) {
            parameters->source = get_source(&value, component, components);
        } else {
            read_value(&value, key, parameters);
        }
        if (value.error != TO_REASON_OK) {
            to_cbor_fail(reader, value.error == TO_REASON_MALFORMED_CBOR ? TO_REASON_PARAMETER_MALFORMED
                                                                         : value.error);
        } else {
            parameters->set |= UINT32_C(1) << key;
        }
    }
}
