/* Samples of an inertial measurement unit, standardized: high-pass, mean of N, magnitude, scaling. The
 * formulas are in tinyops/features/imu.py, whose results these are bit for bit. All constants come from
 * there. */
#ifndef TO_IMU_H
#define TO_IMU_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    int32_t axes;           /* 1 .. 16 */
    int32_t decimation;     /* samples of a frame, 1 .. 64 */
    int32_t smoothing;      /* of the moving average that the high-pass subtracts; 0: no high-pass */
    int32_t smoothing_bits; /* its fraction bits: smoothing < 2^smoothing_bits <= 2^30 */
    int32_t count_bits;     /* fraction bits of a filtered sample, at most 15 */
    /* Per channel, that is axes and the magnitude: sum * multiplier / 2^shift - offset is the frame. */
    const int32_t *multiplier; /* at most 2^25 in size */
    const uint8_t *shift;      /* 1 .. 62 */
    const int32_t *offset;
    /* Per axis: what it enters the magnitude with; NULL: there is no magnitude. */
    const int32_t *weight;
    const uint8_t *weight_shift;
} to_imu_config;

typedef struct {
    int64_t *sum;      /* [axes], of the samples of a frame */
    int32_t *estimate; /* [axes], the moving average; unused without high-pass */
    int32_t samples;   /* in the sums */
    bool started;
} to_imu;

/* Start of a stream. The pointers in `state` are set before. */
void to_imu_init(const to_imu_config *config, to_imu *state);

/* Takes a sample [axes]. To be followed by to_imu_pull until that is false. */
void to_imu_push(const to_imu_config *config, to_imu *state, const int16_t *sample);

/* True when `frame` [axes, + 1 with a magnitude] was written. */
bool to_imu_pull(const to_imu_config *config, to_imu *state, int32_t *frame);

#ifdef __cplusplus
}
#endif

#endif
