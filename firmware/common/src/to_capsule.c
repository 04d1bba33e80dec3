#include "tinyops/to_capsule.h"

#include <string.h>

#include "tinyops/to_sha256.h"

enum { KIND_BYTES, KIND_SEED };
enum {
    AT_VERSION = 4,
    AT_GOLDEN_COUNT = 6,
    AT_BYTES = 8,
    AT_SECTIONS = 12,
    AT_ARENA = 24,
    AT_STATE = 28,
    AT_COUNTS = 32,
    AT_ZEROS = 34,
    AT_ABI = 48,
    AT_PLAN = 80,
    AT_DIGEST = 112,
    AT_NAME = 144
};
#define HASH_BYTES 32u
#define NAME_BYTES 64u
#define VECTOR_BYTES 8u
#define MOST_RANK 8u
#define MOST_TOLERANCE 1e-3f

typedef struct {
    uint32_t data, golden, metadata, end; /* offsets */
    uint32_t golden_bytes;
} sections;

static uint16_t read_u16(const uint8_t *p) { return (uint16_t)(p[0] | p[1] << 8); }

static uint32_t read_u32(const uint8_t *p) { return read_u16(p) | (uint32_t)read_u16(p + 2) << 16; }

static float read_float(const uint8_t *p) {
    uint32_t bits = read_u32(p);
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static uint32_t padding(uint32_t n, uint32_t unit) { return (unit - n % unit) % unit; }

static int is_zero(const uint8_t *p, uint32_t n) {
    uint8_t any = 0;
    while (n-- > 0) {
        any |= *p++;
    }
    return any == 0;
}

static uint32_t header_bytes(const uint8_t *capsule) {
    return TO_CAPSULE_HEADER_BYTES +
           ((uint32_t)capsule[AT_COUNTS] + capsule[AT_COUNTS + 1]) * TO_CAPSULE_PORT_BYTES;
}

/* Places of the sections, whose sizes are in the header; 0 where they or the zeros between them are not as
 * the layout wants them. */
static int find_sections(const uint8_t *capsule, uint32_t bytes, sections *s) {
    uint32_t starts[4];
    uint32_t at = header_bytes(capsule);
    for (uint32_t i = 0; i < 4; i++) {
        uint32_t gap = i < 3 ? padding(at, TO_CAPSULE_ALIGNMENT) : 0;
        if (at > bytes || gap > bytes - at || !is_zero(capsule + at, gap)) {
            return 0;
        }
        at += gap;
        starts[i] = at;
        uint32_t size = i < 3 ? read_u32(capsule + AT_SECTIONS + 4 * i) : 0;
        if (size > bytes - at) {
            return 0;
        }
        at += size;
    }
    s->data = starts[0];
    s->golden = starts[1];
    s->metadata = starts[2];
    s->end = starts[3];
    s->golden_bytes = read_u32(capsule + AT_SECTIONS + 4);
    return s->end == bytes;
}

static int is_name(const uint8_t *name) {
    uint32_t n = 0;
    while (n < NAME_BYTES && name[n] >= 0x20 && name[n] < 0x7F) {
        n++;
    }
    return n > 0 && n < NAME_BYTES && is_zero(name + n, NAME_BYTES - n);
}

static to_reason check_header(const to_capsule_plan *plan, const uint8_t *capsule, uint32_t bytes,
                              sections *s) {
    if (bytes < TO_CAPSULE_HEADER_BYTES) {
        return TO_REASON_TRUNCATED;
    }
    if (((uintptr_t)capsule & (TO_CAPSULE_ALIGNMENT - 1u)) != 0 || memcmp(capsule, "TOC1", 4) != 0 ||
        read_u16(capsule + AT_VERSION) != TO_CAPSULE_VERSION) {
        return TO_REASON_CAPSULE_MALFORMED;
    }
    uint32_t total = read_u32(capsule + AT_BYTES);
    if (total != bytes) {
        return total > bytes ? TO_REASON_TRUNCATED : TO_REASON_CAPSULE_MALFORMED;
    }
    if (memcmp(capsule + AT_ABI, plan->abi_hash, HASH_BYTES) != 0) {
        return TO_REASON_CAPSULE_ABI;
    }
    if (memcmp(capsule + AT_PLAN, plan->plan_hash, HASH_BYTES) != 0 ||
        capsule[AT_COUNTS] != plan->input_count || capsule[AT_COUNTS + 1] != plan->output_count ||
        read_u32(capsule + AT_SECTIONS) != plan->data_bytes ||
        read_u32(capsule + AT_ARENA) != plan->arena_bytes ||
        read_u32(capsule + AT_STATE) != plan->state_bytes) {
        return TO_REASON_CAPSULE_PLAN;
    }
    if (!is_zero(capsule + AT_ZEROS, AT_ABI - AT_ZEROS) || !is_name(capsule + AT_NAME) ||
        !find_sections(capsule, bytes, s)) {
        return TO_REASON_CAPSULE_MALFORMED;
    }
    return read_u16(capsule + AT_GOLDEN_COUNT) == 0 ? TO_REASON_CAPSULE_GOLDEN_MISSING : TO_REASON_OK;
}

/* Ports */

typedef struct {
    const char *name;
    int32_t low, high; /* of zero points */
} dtype_info;

/* The dtype of a port's code, or NULL. */
static const dtype_info *dtype_of(uint8_t code) {
    static const dtype_info dtypes[] = {
        {"int8", INT8_MIN, INT8_MAX},
        {"uint8", 0, UINT8_MAX},
        {"int16", INT16_MIN, INT16_MAX},
        {"int32", INT32_MIN, INT32_MAX},
        {"int64", 0, 0},
        {"float32", 0, 0},
        {"bool", 0, 0},
    };
    return code >= 1 && code <= sizeof dtypes / sizeof *dtypes ? &dtypes[code - 1] : NULL;
}

/* Freestanding C libraries have no strcmp. */
static int is_text(const char *a, const char *b) {
    while (*a != '\0' && *a == *b) {
        a++;
        b++;
    }
    return *a == *b;
}

static int is_float(const to_tensor_info *port) { return is_text(port->dtype, "float32"); }

static int has_shape(const uint8_t *record, const to_tensor_info *port) {
    const uint8_t *shape = record + 24;
    for (uint32_t axis = 0; axis < port->rank; axis++) {
        if (read_u16(shape + 2 * axis) != port->shape[axis]) {
            return 0;
        }
    }
    return is_zero(shape + 2u * port->rank, 2u * (MOST_RANK - port->rank));
}

static to_reason check_port(const uint8_t *record, const to_tensor_info *port, int output) {
    const dtype_info *dtype = dtype_of(record[0]);
    if (dtype == NULL || !is_text(dtype->name, port->dtype) || record[1] != port->rank ||
        port->rank > MOST_RANK || read_u16(record + 2) != 0 || read_u32(record + 4) != port->bytes ||
        read_u32(record + 8) != port->offset || !has_shape(record, port)) {
        return TO_REASON_CAPSULE_PLAN;
    }
    float scale = read_float(record + 12);
    int32_t zero_point = (int32_t)read_u32(record + 16);
    float tolerance = read_float(record + 20);
    int quantized = port->scale != 0.0f;
    if (!(scale >= 0.0f && scale <= 3.4e38f) || (scale != 0.0f) != quantized || zero_point < dtype->low ||
        zero_point > dtype->high || (!quantized && zero_point != 0)) {
        return TO_REASON_CAPSULE_BOUNDS;
    }
    if (!(tolerance >= 0.0f && tolerance <= (output && is_float(port) ? MOST_TOLERANCE : 0.0f))) {
        return TO_REASON_CAPSULE_BOUNDS;
    }
    return TO_REASON_OK;
}

static const uint8_t *port_record(const uint8_t *capsule, uint32_t i) {
    return capsule + TO_CAPSULE_HEADER_BYTES + i * TO_CAPSULE_PORT_BYTES;
}

static uint32_t port_count(const to_capsule_plan *plan) {
    return (uint32_t)plan->input_count + plan->output_count;
}

static to_reason check_ports(const to_capsule_plan *plan, const uint8_t *capsule) {
    to_reason reason = TO_REASON_OK;
    for (uint32_t i = 0; i < port_count(plan) && reason == TO_REASON_OK; i++) {
        reason = check_port(port_record(capsule, i), &plan->ports[i], i >= plan->input_count);
    }
    return reason;
}

/* Data */

static to_reason check_structure(const to_capsule_plan *plan, const uint8_t *data) {
    to_sha256 hash;
    uint8_t digest[HASH_BYTES];
    to_sha256_start(&hash);
    for (uint16_t i = 0; i < plan->span_count; i++) {
        to_sha256_update(&hash, data + plan->spans[i].offset, plan->spans[i].bytes);
    }
    to_sha256_finish(&hash, digest);
    return memcmp(digest, plan->structure_hash, HASH_BYTES) == 0 ? TO_REASON_OK : TO_REASON_CAPSULE_PLAN;
}

static int32_t read_signed(const uint8_t *p, uint32_t size) {
    switch (size) {
    case 1:
        return (int8_t)p[0];
    case 2:
        return (int16_t)read_u16(p);
    case 4:
        return (int32_t)read_u32(p);
    default:
        return (int32_t)read_u32(p + 4);
    }
}

static to_reason check_ranges(const to_capsule_plan *plan, const uint8_t *data) {
    for (uint16_t i = 0; i < plan->range_count; i++) {
        const to_capsule_range *range = &plan->ranges[i];
        const uint8_t *p = data + range->offset;
        for (uint32_t n = range->count; n > 0; n--, p += range->size) {
            int32_t value = read_signed(p, range->size);
            if (value < range->low || value > range->high) {
                return TO_REASON_CAPSULE_BOUNDS;
            }
        }
    }
    return TO_REASON_OK;
}

/* Golden vectors */

/* Moves `at` past a tensor and its padding; 0 when that is not inside, or the padding is not 0. */
static int skip_tensor(const uint8_t **at, const uint8_t *end, uint32_t bytes) {
    uint32_t left = (uint32_t)(end - *at);
    uint32_t pad = padding(bytes, 4);
    if (bytes > left || pad > left - bytes || !is_zero(*at + bytes, pad)) {
        return 0;
    }
    *at += bytes + pad;
    return 1;
}

static int skip_tensors(const to_tensor_info *ports, uint8_t count, const uint8_t **at, const uint8_t *end) {
    for (uint8_t i = 0; i < count; i++) {
        if (!skip_tensor(at, end, ports[i].bytes)) {
            return 0;
        }
    }
    return 1;
}

static to_reason check_golden(const to_capsule_plan *plan, const uint8_t *capsule, const sections *s) {
    const uint8_t *at = capsule + s->golden;
    const uint8_t *end = at + s->golden_bytes;
    uint16_t count = read_u16(capsule + AT_GOLDEN_COUNT);
    for (uint16_t i = 0; i < count; i++) {
        const uint8_t *vector = at;
        if (!skip_tensor(&at, end, VECTOR_BYTES) || vector[0] > KIND_SEED || vector[1] > 1 ||
            read_u16(vector + 2) != 0 || (i == 0 && vector[1] != 1)) {
            return TO_REASON_CAPSULE_MALFORMED;
        }
        if (vector[0] == KIND_BYTES &&
            (read_u32(vector + 4) != 0 || !skip_tensors(plan->ports, plan->input_count, &at, end))) {
            return TO_REASON_CAPSULE_MALFORMED;
        }
        if (!skip_tensors(plan->ports + plan->input_count, plan->output_count, &at, end)) {
            return TO_REASON_CAPSULE_MALFORMED;
        }
    }
    return at == end ? TO_REASON_OK : TO_REASON_CAPSULE_MALFORMED;
}

to_reason to_capsule_verify(const to_capsule_plan *plan, const uint8_t *capsule, uint32_t bytes) {
    sections s;
    to_reason reason = check_header(plan, capsule, bytes, &s);
    if (reason == TO_REASON_OK) {
        reason = check_ports(plan, capsule);
    }
    if (reason == TO_REASON_OK) {
        reason = check_structure(plan, capsule + s.data);
    }
    if (reason == TO_REASON_OK) {
        reason = check_ranges(plan, capsule + s.data);
    }
    return reason == TO_REASON_OK ? check_golden(plan, capsule, &s) : reason;
}

/* Self-test */

static uint32_t next_random(uint32_t x) { return x * UINT32_C(1664525) + UINT32_C(1013904223); }

/* Writes an input made of random numbers from x on; returns the last one. */
static uint32_t fill_input(const to_tensor_info *port, uint8_t *to, uint32_t x) {
    int is_bool = is_text(port->dtype, "bool");
    for (uint32_t i = 0; i < port->bytes;) {
        x = next_random(x);
        if (is_float(port)) {
            float value = (float)(int16_t)(uint16_t)(x >> 16) / 8192.0f;
            memcpy(to + i, &value, sizeof value);
            i += (uint32_t)sizeof value;
        } else {
            to[i++] = (uint8_t)(is_bool ? x >> 24 & 1u : x >> 24);
        }
    }
    return x;
}

/* Floats are equal up to the tolerance, or this part of the expected value where it is larger than 1; NaN is
 * equal to NaN. */
static int agrees(float got, float expected, float tolerance) {
    float magnitude = expected < 0.0f ? -expected : expected;
    float most = tolerance * (magnitude > 1.0f ? magnitude : 1.0f);
    float difference = got - expected;
    return got == expected || (got != got && expected != expected) ||
           (difference < most && difference > -most);
}

/* Whether an output is the expected one; otherwise `element` is where it is not. */
static int compare_output(const to_tensor_info *port, const uint8_t *record, const uint8_t *got,
                          const uint8_t *expected, uint32_t *element) {
    uint32_t elements = 1;
    for (uint8_t axis = 0; axis < port->rank; axis++) {
        elements *= port->shape[axis];
    }
    uint32_t size = elements > 0 ? port->bytes / elements : 1;
    float tolerance = read_float(record + 20);
    for (uint32_t i = 0; i < elements; i++) {
        const uint8_t *a = got + i * size;
        const uint8_t *b = expected + i * size;
        if (memcmp(a, b, size) != 0 && !(is_float(port) && agrees(read_float(a), read_float(b), tolerance))) {
            *element = i;
            return 0;
        }
    }
    return 1;
}

static void load_inputs(const to_model *model, const uint8_t *vector, const uint8_t **at) {
    const to_capsule_plan *plan = model->plan;
    uint32_t x = read_u32(vector + 4);
    for (uint8_t i = 0; i < plan->input_count; i++) {
        const to_tensor_info *port = &plan->ports[i];
        uint8_t *input = model->arena + port->offset;
        if (vector[0] == KIND_SEED) {
            x = fill_input(port, input, x);
        } else {
            memcpy(input, *at, port->bytes);
            *at += port->bytes + padding(port->bytes, 4);
        }
    }
}

to_reason to_capsule_self_test(const to_model *model, const uint8_t *capsule,
                               to_capsule_difference *difference) {
    const to_capsule_plan *plan = model->plan;
    sections s;
    if (!find_sections(capsule, read_u32(capsule + AT_BYTES), &s)) {
        return TO_REASON_CAPSULE_MALFORMED;
    }
    const uint8_t *at = capsule + s.golden;
    uint16_t count = read_u16(capsule + AT_GOLDEN_COUNT);
    for (uint16_t i = 0; i < count; i++) {
        const uint8_t *vector = at;
        at += VECTOR_BYTES;
        if (vector[1] != 0) {
            plan->init(capsule + s.data, model->state);
        }
        load_inputs(model, vector, &at);
        plan->invoke(capsule + s.data, model->arena, model->state);
        for (uint8_t o = 0; o < plan->output_count; o++) {
            uint32_t p = (uint32_t)plan->input_count + o;
            const to_tensor_info *port = &plan->ports[p];
            uint32_t element;
            if (!compare_output(port, port_record(capsule, p), model->arena + port->offset, at, &element)) {
                if (difference != NULL) {
                    *difference = (to_capsule_difference){i, o, element};
                }
                return TO_REASON_SELF_TEST;
            }
            at += port->bytes + padding(port->bytes, 4);
        }
    }
    return TO_REASON_OK;
}

void to_capsule_activate(to_model *model, const uint8_t *capsule) {
    const to_capsule_plan *plan = model->plan;
    for (uint32_t i = 0; i < port_count(plan); i++) {
        const uint8_t *record = port_record(capsule, i);
        plan->active_ports[i].scale = read_float(record + 12);
        plan->active_ports[i].zero_point = (int32_t)read_u32(record + 16);
    }
    uint32_t header = header_bytes(capsule);
    *plan->active_data = capsule + header + padding(header, TO_CAPSULE_ALIGNMENT);
    model->name = (const char *)(capsule + AT_NAME);
    model->digest = capsule + AT_DIGEST;
}

uint32_t to_capsule_bytes(const uint8_t *capsule) { return read_u32(capsule + AT_BYTES); }

const uint8_t *to_capsule_metadata(const uint8_t *capsule, uint32_t *bytes) {
    sections s;
    if (!find_sections(capsule, read_u32(capsule + AT_BYTES), &s)) {
        *bytes = 0;
        return capsule;
    }
    *bytes = s.end - s.metadata;
    return capsule + s.metadata;
}
