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
    const struct to_capsule_plan *plan; /* of updatable firmware (to_capsule.h), else NULL */
} to_model;

/* What the firmware remembers of a front end's stream. */
typedef struct {
    uint64_t instructions; /* of all steps of the last inference */
    uint32_t filled;       /* bytes of the next step that have arrived */
    uint8_t open;          /* steps of an inference have arrived, but not all */
    uint8_t started;       /* the first inference of the stream is done */
} to_features_run;

/* A front end that makes the model's only input of raw data, which come in steps. */
typedef struct {
    const char *kind;
    const char *dtype;     /* of a step: "int16" or "uint8" */
    const uint32_t *shape; /* `rank` dimensions */
    uint8_t rank;
    uint32_t step_bytes;
    uint32_t first_steps; /* until the first inference of a stream */
    uint32_t next_steps;  /* from one inference to the next */
    uint8_t *step;        /* room for one step, 8-byte aligned */
    to_features_run *run;
    void *state;
    void (*init)(void *state);
    void (*push)(void *state, const void *step, void *arena); /* completes the input with the last step */
} to_features;

/* Defined by the generated binding; the front end only where TO_FEATURES is defined. Where TO_UPDATABLE is
 * defined (or TO_CAPSULE: without the receiver of to_update.h), name, digest, inputs, outputs and what the
 * functions compute are those of the active capsule, which to_capsule_activate changes. */
#if defined(TO_UPDATABLE) || defined(TO_CAPSULE)
extern to_model to_device_model;
#else
extern const to_model to_device_model;
#endif
extern const to_features to_device_features;

#endif
