/* Log-mel spectra and mel-frequency cepstral coefficients of a stream of int16 samples, in integers.
 *
 * A step is `hop` samples; after each push, pull until it returns false. The configuration and its tables are
 * written by the generator, which says what they mean. No allocation: the buffers belong to the caller. */
#ifndef TO_MEL_H
#define TO_MEL_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    int32_t window;          /* samples of a frame, at most fft */
    int32_t hop;             /* samples from one frame to the next */
    int32_t fft;             /* points: a power of two, 64 to 2048 */
    int32_t preemphasis;     /* 30 fraction bits, 0 to 1 */
    int32_t mirror;          /* weights[n] = weights[mirror - n] */
    int32_t magnitude;       /* 1: magnitudes are filtered, 0: energies */
    int32_t exponent;        /* of a level, power of two, where samples need no shift */
    int32_t gain_exponent;   /* of all filters */
    int32_t channels;        /* filters, at most 128 */
    int32_t features;        /* values of a frame */
    int32_t first_row;       /* of the DCT, for feature 0 */
    int32_t energy;          /* 1: feature 0 is the logarithm of the frame's energy */
    int32_t clip;            /* 1: logarithm of max(x, floor), 0: of x + floor */
    uint32_t floor_mantissa; /* 2^31 or more */
    int32_t floor_exponent;  /* floor = mantissa * 2^exponent */
    int32_t shift;           /* of value * multiplier, 1 to 60 */
    const uint32_t *weights; /* window, mirror / 2 + 1 values of 31 fraction bits; NULL: none */
    const int32_t *cosines;  /* cos(2 pi k / fft) for k = 0 .. fft / 4, 30 fraction bits */
    const uint16_t *edges;   /* channels + 2: the first bin of each band between two edges, and the end */
    const uint32_t *falling; /* weight of each bin for the filter that ends in its band, 31 fraction bits */
    const uint32_t *gains;   /* of each filter, 31 fraction bits; NULL: 1 */
    const uint32_t *log2;    /* log2(1 + k / 128) for k = 0 .. 128, 20 fraction bits */
    const int32_t *dct;      /* cos(pi k / (2 channels)) for k < 2 channels, 28 fraction bits; NULL: no DCT */
    const int32_t *multipliers; /* of each feature: (value * multiplier >> shift) + bias, rounded */
    const int32_t *biases;
} to_mel_config;

typedef struct {
    int16_t *samples;    /* the sample before a frame, and up to ceil(window / hop) * hop more */
    int32_t *work;       /* fft; scratch of to_mel_pull */
    int32_t *logarithms; /* channels; scratch of to_mel_pull */
    int32_t used;        /* samples, without the one before */
} to_mel;

/* Start of a stream. */
void to_mel_init(const to_mel_config *config, to_mel *state);

/* Takes the next `hop` samples. */
void to_mel_push(const to_mel_config *config, to_mel *state, const int16_t *step);

/* True when the `features` values of a frame were written. */
bool to_mel_pull(const to_mel_config *config, to_mel *state, int32_t *frame);

#ifdef __cplusplus
}
#endif

#endif
