/* Capsules: a model as data for firmware that has the model's structure compiled in.
 *
 * The generated code knows every shape, stride, offset and loop bound; what a retrained model of the same
 * structure changes (weights, biases, multipliers, zero points, clamps, tables, scales of inputs and outputs)
 * it reads in place from the data section of a capsule, at offsets that are compiled in. A capsule that
 * to_capsule_verify accepts cannot make it read or write outside of arena, state and capsule, nor run into
 * undefined behaviour, whatever its numbers are: all else in the data section has the compiled-in content (by
 * a hash over those bytes), and numbers that are shifts, multipliers or tables of exponentials are in the
 * ranges that their kernels are made for.
 *
 * Layout, little-endian; every section starts at the next multiple of 16, and what lies between is 0:
 *
 *      0  "TOC1"
 *      4  uint16 version 1, uint16 number of golden vectors
 *      8  uint32 bytes of the capsule
 *     12  uint32 bytes of the data section, 16 of the golden section, 20 of the metadata
 *     24  uint32 bytes of the arena, 28 of the state
 *     32  uint8 number of inputs, uint8 of outputs, zeros
 *     48  kernel ABI (32 bytes), plan (32), SHA-256 of the model file (32)
 *    144  name of the model: at most 63 printable ASCII characters, then zeros (64)
 *    208  one record of 40 bytes for each input, then for each output:
 *             uint8 dtype (1 int8, 2 uint8, 3 int16, 4 int32, 5 int64, 6 float32, 7 bool), uint8 rank,
 *             uint16 0, uint32 bytes, uint32 offset in the arena, float scale, int32 zero point,
 *             float tolerance of golden vectors (0 but for float32), uint16 shape[8]
 *         data section: parameter structs and constants
 *         golden section: the vectors, one after the other
 *             uint8 kind (0: input bytes, 1: inputs from a seed), uint8 1 where the state is initial before
 * it (as it is before the first), uint16 0, uint32 seed (0 with kind 0), [the inputs], the outputs; each
 * tensor padded with zeros to 4 bytes metadata: a CBOR map
 *
 * With kind 1 all inputs are made in order from x = x * 1664525 + 1013904223 (mod 2^32), from the seed on:
 * once per float32, which is (x >> 16 as int16) / 8192, and once per byte of any other, which is x >> 24, of
 * a bool the lowest bit of that.
 *
 * How an update uses them: once an image of n bytes is in a bank at `image` (a multiple of 16),
 *
 *     reason = to_capsule_verify(model->plan, image, n);        reads all of it once, changes nothing
 *     at an inference boundary, after the record of the try:
 *     reason = to_capsule_self_test(model, image, &difference); overwrites arena and state
 *     if (reason == TO_REASON_OK) to_capsule_activate(model, image);
 *     to_device_reset, or model->init(model->state);            in either case: arena and state are used up
 *
 * The image has to stay as it is as long as it is the active one. to_capsule_activate(model,
 * model->plan->factory) makes the model of the firmware image run, which is what runs from the start on. */
#ifndef TINYOPS_TO_CAPSULE_H
#define TINYOPS_TO_CAPSULE_H

#include <stddef.h>
#include <stdint.h>

#include "tinyops/to_model.h"
#include "tinyops/to_reason.h"

#define TO_CAPSULE_ALIGNMENT 16u
#define TO_CAPSULE_VERSION 1u
#define TO_CAPSULE_HEADER_BYTES 208u
#define TO_CAPSULE_PORT_BYTES 40u

/* Bytes of the data section that have the compiled-in content. */
typedef struct to_capsule_span {
    uint32_t offset;
    uint32_t bytes;
} to_capsule_span;

/* Signed integers of `size` bytes (1, 2, 4 or 8) in the data section that are in low..high; of those of 8
 * bytes the upper 4 are. */
typedef struct to_capsule_range {
    uint32_t offset; /* a multiple of `size` */
    uint32_t count;
    int32_t low;
    int32_t high;
    uint32_t size;
} to_capsule_range;

/* The compiled-in structure of a model, generated beside it. */
typedef struct to_capsule_plan {
    const uint8_t *abi_hash;  /* of the kernels' interfaces; 32 bytes each, the first two as in the header */
    const uint8_t *plan_hash; /* of the whole structure */
    const uint8_t *structure_hash; /* SHA-256 of the bytes in `spans`, in order */
    const to_capsule_span *spans;
    const to_capsule_range *ranges;
    uint16_t span_count;
    uint16_t range_count;
    uint32_t data_bytes;
    uint32_t arena_bytes;
    uint32_t state_bytes;
    uint32_t factory_bytes;
    const uint8_t *factory; /* the capsule in the firmware image; it is valid */
    uint8_t input_count;
    uint8_t output_count;
    const to_tensor_info *ports;  /* inputs, then outputs, as in the factory capsule */
    to_tensor_info *active_ports; /* as many: those of the active capsule */
    const uint8_t **active_data;  /* data section of the active capsule */
    void (*init)(const uint8_t *data, void *state);
    void (*invoke)(const uint8_t *data, void *arena, void *state);
} to_capsule_plan;

/* Where outputs first differed from a golden vector. */
typedef struct to_capsule_difference {
    uint16_t vector;
    uint8_t output;
    uint32_t index; /* element of the output */
} to_capsule_difference;

/* Whether the `bytes` bytes at `capsule` are a capsule for this firmware: TO_REASON_OK, or
 * TO_REASON_TRUNCATED, _CAPSULE_MALFORMED, _CAPSULE_ABI, _CAPSULE_PLAN, _CAPSULE_BOUNDS,
 * _CAPSULE_GOLDEN_MISSING. Reads nothing beyond. */
to_reason to_capsule_verify(const to_capsule_plan *plan, const uint8_t *capsule, uint32_t bytes);

/* Runs the model on all golden vectors of a capsule that was verified: TO_REASON_OK, or TO_REASON_SELF_TEST
 * and the first difference (which may be NULL). The active capsule stays the same, but arena and state are
 * overwritten. */
to_reason to_capsule_self_test(const to_model *model, const uint8_t *capsule,
                               to_capsule_difference *difference);

/* Makes a capsule that was verified the running model: its digest, name, scales and numbers. */
void to_capsule_activate(to_model *model, const uint8_t *capsule);

/* Bytes of a capsule that was verified, and its metadata. */
uint32_t to_capsule_bytes(const uint8_t *capsule);
const uint8_t *to_capsule_metadata(const uint8_t *capsule, uint32_t *bytes);

#endif
