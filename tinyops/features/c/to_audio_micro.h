/* The audio front end of TensorFlow Lite for Microcontrollers: mono speech becomes features of the last
 * window with every step. All numbers come from the configuration, which tinyops generates.
 *
 * No allocation, no variables: one state per instance, owned by the caller. */
#ifndef TO_AUDIO_MICRO_H
#define TO_AUDIO_MICRO_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Lengths in samples; window_length is a multiple of step_length, fft_length = 2 * 4^n. */
typedef struct {
    int32_t step_length;
    int32_t window_length;
    int32_t fft_length;
    int32_t channels;
    int32_t weight_bits;   /* fraction bits of `window` and `weights` */
    int32_t noise_bits;    /* fraction bits of `smoothing` and `floor` */
    int32_t estimate_bits; /* fraction bits of the noise estimate */
    int32_t correction_bits;
    int32_t gain_shift;
    int32_t log_scale_bits;
    uint32_t floor;
    const int16_t *window;
    const int16_t *twiddles; /* complex roots of unity, as the next */
    const int16_t *split;
    const int16_t *edges;   /* channels + 2 bins where filters begin and end */
    const int16_t *weights; /* of each bin between the edges, in the falling half of its filter */
    const uint16_t *smoothing;
    const int16_t *gain;  /* 32 parabolas */
    const uint16_t *log2; /* 129 values */
} to_audio_micro_config;

typedef struct {
    int32_t used;     /* samples in the window */
    int16_t *samples; /* window_length */
    uint32_t *noise;  /* channels */
    int16_t *work;    /* fft_length; kept from no step to the next */
} to_audio_micro;

/* Start of a stream; the pointers of `state` are set. */
void to_audio_micro_init(const to_audio_micro_config *config, to_audio_micro *state);

/* Takes the next step_length samples; to_audio_micro_pull must have returned false before. */
void to_audio_micro_push(const to_audio_micro_config *config, to_audio_micro *state, const int16_t *step);

/* Writes `channels` features and returns true where the samples give some. */
bool to_audio_micro_pull(const to_audio_micro_config *config, to_audio_micro *state, uint16_t *frame);

#ifdef __cplusplus
}
#endif

#endif
