/* A model with state, two inputs and two outputs that are larger than a block, and layers of known length.
 *
 * sum[i] = a[i] + invocation (wrapping), total = {loops[0] + loops[1], invocation}; the invocations count
 * from 7. */
#include "tinyops/to_model.h"

#include <string.h>

#ifdef FAKE_MODEL_SLEEPS
#include <unistd.h>
#endif

#define N 1500
#define A 0
#define LOOPS 1504
#define SUM 1520
#define TOTAL 3024
#define ARENA 3040
#define OVERFLOW 0xFFFFFFFFu

__attribute__((aligned(16))) static uint8_t arena[ARENA];
__attribute__((aligned(16))) static uint8_t state[4];

static void init(void *state_) {
    const int32_t first = 7;
    memcpy(state_, &first, sizeof first);
}

__attribute__((noinline)) static void add(uint8_t *memory, const uint8_t *state_) {
    int32_t invocation;
    memcpy(&invocation, state_, sizeof invocation);
    for (int i = 0; i < N; i++) {
        memory[SUM + i] = (uint8_t)(memory[A + i] + invocation);
    }
}

#if defined(__arm__) || defined(__riscv)
/* Uses up the stack. */
__attribute__((noinline)) static uint32_t recurse(uint32_t depth) {
    volatile uint8_t frame[64];
    frame[0] = (uint8_t)depth;
    return depth == 0 ? 0 : recurse(depth - 1) + frame[0];
}
#endif

/* Executes 2 * loops[0] + 3 * loops[1] instructions, and a constant number of others; the loops are from 1.
 * With FAKE_MODEL_SLEEPS it takes loops[0] milliseconds. */
__attribute__((noinline)) static void spin(const uint8_t *memory) {
    uint32_t loops[2];
    memcpy(loops, memory + LOOPS, sizeof loops);
#if defined(__arm__) || defined(__riscv)
    if (loops[0] == OVERFLOW) {
        recurse(UINT32_MAX);
    }
#endif
#if defined(__arm__)
    __asm__ volatile(".syntax unified\n1: subs %0, #1\nbne 1b\n2: nop\nsubs %1, #1\nbne 2b"
                     : "+l"(loops[0]), "+l"(loops[1])::"cc");
#elif defined(__riscv)
    __asm__ volatile("1: addi %0, %0, -1\nbnez %0, 1b\n2: nop\naddi %1, %1, -1\nbnez %1, 2b"
                     : "+r"(loops[0]), "+r"(loops[1]));
#elif defined(FAKE_MODEL_SLEEPS)
    usleep(loops[0] * 1000u);
#endif
}

__attribute__((noinline)) static void total(uint8_t *memory, uint8_t *state_) {
    int32_t loops[2], invocation, sum;
    memcpy(loops, memory + LOOPS, sizeof loops);
    memcpy(&invocation, state_, sizeof invocation);
    sum = (int32_t)((uint32_t)loops[0] + (uint32_t)loops[1]);
    memcpy(memory + TOTAL, &sum, sizeof sum);
    memcpy(memory + TOTAL + 4, &invocation, sizeof invocation);
    invocation++;
    memcpy(state_, &invocation, sizeof invocation);
}

static void invoke(void *arena_, void *state_) {
    add(arena_, state_);
    spin(arena_);
    total(arena_, state_);
}

static void invoke_observed(void *arena_, void *state_, to_observer observer, void *context) {
    observer(context, 0, 0);
    add(arena_, state_);
    observer(context, 0, 1);
    observer(context, 1, 0);
    spin(arena_);
    observer(context, 1, 1);
    observer(context, 2, 0);
    observer(context, 2, 1);
    observer(context, 3, 0);
    total(arena_, state_);
    observer(context, 3, 1);
}

static const uint16_t long_shape[] = {1, N};
static const uint16_t pair_shape[] = {2};
static const uint8_t digest[32] = {0xC0, 0xDB, 0xDC, 0xDD, 0x0A, 0xA9, 1, 2, 3};

static const to_tensor_info inputs[] = {
    {"a", "int8", long_shape, 2, N, A, 0.5f, -3},
    {"loops", "int32", pair_shape, 1, 8, LOOPS, 1.0f, 0},
};
static const to_tensor_info outputs[] = {
    {"sum", "int8", long_shape, 2, N, SUM, 0.1f, 127},
    {"total", "int32", pair_shape, 1, 8, TOTAL, 1.0f, 0},
};
static const to_layer_info layers[] = {
    {"add", "ADD"},
    {"spin", "CUSTOM"},
    {"a_layer_without_any_instructions_and_with_a_name_so_long_that_info_needs_more_blocks", "NONE"},
    {"total", "ADD"},
};

const to_model to_device_model = {
    .name = "fake",
    .digest = digest,
    .arena_bytes = ARENA,
    .state_bytes = sizeof state,
    .arena = arena,
    .state = state,
    .input_count = 2,
    .output_count = 2,
    .layer_count = 4,
    .inputs = inputs,
    .outputs = outputs,
    .layers = layers,
    .init = init,
    .invoke = invoke,
    .invoke_observed = invoke_observed,
};

#ifdef TO_FEATURES
/* A front end of the model's first input: 5 bytes of each step, each the difference of a value to the one of
 * the step before; so the first step of a stream gives none. loops = {1, 1}. */
#define STEP 5

static struct {
    int16_t last[STEP];
    uint32_t steps;
    uint32_t used;
} stream;
static uint8_t step_memory[2 * STEP] __attribute__((aligned(8)));
static to_features_run features_run;
static const uint32_t step_shape[] = {STEP};

static void features_init(void *memory) { memset(memory, 0, sizeof stream); }

static void features_push(void *memory, const void *step, void *arena_) {
    const int32_t loops[2] = {1, 1};
    const int16_t *values = step;
    uint8_t *bytes = arena_;
    (void)memory;
    for (uint32_t i = 0; i < STEP && stream.steps > 0; i++) {
        bytes[A + stream.used++] = (uint8_t)(values[i] - stream.last[i]);
    }
    stream.used %= N;
    memcpy(stream.last, values, sizeof stream.last);
    memcpy(bytes + LOOPS, loops, sizeof loops);
    stream.steps++;
}

const to_features to_device_features = {
    .kind = "fake",
    .dtype = "int16",
    .shape = step_shape,
    .rank = 1,
    .step_bytes = sizeof step_memory,
    .first_steps = 1 + N / STEP,
    .next_steps = N / STEP,
    .step = step_memory,
    .run = &features_run,
    .state = &stream,
    .init = features_init,
    .push = features_push,
};
#endif
