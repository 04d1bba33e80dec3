#include "to_imu.h"

#include <stddef.h>

/* C99 leaves this to the implementation. */
typedef char to_imu_assert_arithmetic_shift[(INT32_C(-3) >> 1) == -2 && (INT64_C(-3) >> 1) == -2 ? 1 : -1];

/* Rounded half up; |x| < 2^62. */
static int64_t shift_right(int64_t x, int32_t shift) { return (x + (INT64_C(1) << (shift - 1))) >> shift; }

/* Rounded; x < 2^60. */
static uint32_t square_root(uint64_t x) {
    uint64_t root = 0;
    uint64_t bit = UINT64_C(1) << 58;
    while (bit > x) {
        bit >>= 2;
    }
    for (; bit != 0; bit >>= 2) {
        const uint64_t trial = root + bit;
        root >>= 1;
        if (x >= trial) {
            x -= trial;
            root += bit;
        }
    }
    return (uint32_t)(x > root ? root + 1 : root);
}

/* Of the mean, in real units relative to the largest scale. Below 2^28 per axis, so that 16 squares fit 60
 * bits. */
static uint32_t magnitude(const to_imu_config *config, const to_imu *state) {
    uint64_t squares = 0;
    for (int32_t i = 0; i < config->axes; i++) {
        const int64_t value = shift_right(state->sum[i] * config->weight[i], config->weight_shift[i]);
        squares += (uint64_t)(value * value);
    }
    return square_root(squares);
}

static int32_t standardize(const to_imu_config *config, int32_t channel, int64_t value) {
    const int64_t scaled = shift_right(value * config->multiplier[channel], config->shift[channel]);
    const int64_t result = scaled - config->offset[channel];
    return (int32_t)(result < INT32_MIN ? INT32_MIN : result > INT32_MAX ? INT32_MAX : result);
}

void to_imu_init(const to_imu_config *config, to_imu *state) {
    (void)config;
    state->samples = 0;
    state->started = false;
}

void to_imu_push(const to_imu_config *config, to_imu *state, const int16_t *sample) {
    if (state->samples == config->decimation) {
        state->samples = 0;
    }
    for (int32_t i = 0; i < config->axes; i++) {
        int32_t value = sample[i] * (INT32_C(1) << config->count_bits);
        if (config->smoothing != 0) {
            /* The estimate stays between the samples, and the difference of two samples fits int32. */
            const int32_t estimate = state->started ? state->estimate[i] : value;
            const int64_t product = (int64_t)(value - estimate) * config->smoothing;
            state->estimate[i] = estimate + (int32_t)shift_right(product, config->smoothing_bits);
            value -= state->estimate[i];
        }
        state->sum[i] = value + (state->samples != 0 ? state->sum[i] : 0);
    }
    state->started = true;
    state->samples++;
}

bool to_imu_pull(const to_imu_config *config, to_imu *state, int32_t *frame) {
    if (state->samples != config->decimation) {
        return false;
    }
    state->samples = 0;
    for (int32_t i = 0; i < config->axes; i++) {
        frame[i] = standardize(config, i, state->sum[i]);
    }
    if (config->weight != NULL) {
        frame[config->axes] = standardize(config, config->axes, magnitude(config, state));
    }
    return true;
}
