/* The model as the firmware sees it: one constant descriptor, generated beside the model's library. */
#ifndef TINYOPS_TO_MODEL_H
#define TINYOPS_TO_MODEL_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
    const char *name;
    const char *dtype;     /* "int8", "uint8", "int16", "int32", "float32" */
    const uint16_t *shape; /* `rank` dimensions */
    uint8_t rank;
    uint32_t bytes;
    uint32_t offset; /* of the tensor in the arena */
    float scale;     /* real = scale * (q - zero_point) */
    int32_t zero_point;
} to_tensor_info;

typedef struct {
    const char *name;
    const char *op;
} to_layer_info;

/* Called with done = 0 before layer `layer` runs and with done = 1 after it. */
typedef void (*to_observer)(void *context, uint16_t layer, int done);

typedef struct {
    const char *name;
    const uint8_t *digest; /* SHA-256 of the model file, 32 bytes */
    uint32_t arena_bytes;
    uint32_t state_bytes; /* may be 0 */
    uint8_t *arena;       /* 16-byte aligned, owned by the firmware */
    uint8_t *state;
    uint8_t input_count;
    uint8_t output_count;
    uint16_t layer_count;
    const to_tensor_info *inputs;
    const to_tensor_info *outputs;
    const to_layer_info *layers;
    void (*init)(void *state); /* sets the state to its initial value */
    void (*invoke)(void *arena, void *state);
    void (*invoke_observed)(void *arena, void *state, to_observer observer, void *context);
} to_model;

/* Defined by the generated binding. */
extern const to_model to_device_model;

#endif
