/* The audio front end of TensorFlow Lite for Microcontrollers with the parameters of pymicro-features, bit
 * for bit: mono speech at 16 kHz becomes 40 features every 10 ms, each from the last 30 ms.
 *
 *     static to_audio_micro audio;
 *     to_audio_micro_init(&audio);
 *     if (to_audio_micro_step(&audio, samples, features)) {
 *         to_audio_micro_quantize(features, &quantization, model_input);
 *     }
 *
 * No allocation, no variables: one struct per instance, owned by the caller. */
#ifndef TO_AUDIO_MICRO_H
#define TO_AUDIO_MICRO_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TO_AUDIO_MICRO_RATE 16000
#define TO_AUDIO_MICRO_STEP 160
#define TO_AUDIO_MICRO_WINDOW 480
#define TO_AUDIO_MICRO_FFT 512
#define TO_AUDIO_MICRO_CHANNELS 40

/* 2,148 bytes; all but `work` is kept from step to step. */
typedef struct {
    int32_t used; /* samples in the window */
    uint32_t noise[TO_AUDIO_MICRO_CHANNELS];
    int16_t samples[TO_AUDIO_MICRO_WINDOW];
    int16_t work[TO_AUDIO_MICRO_FFT];
} to_audio_micro;

/* From features to a model's 8-bit input: round(feature * numerator / denominator + zero_point), ties to
 * even, clamped to low .. high. */
typedef struct {
    uint32_t numerator;
    uint32_t denominator;
    int32_t zero_point;
    int32_t low;
    int32_t high;
} to_audio_micro_quantization;

/* Start of a stream. */
void to_audio_micro_init(to_audio_micro *state);

/* Takes the next 10 ms. True when `features` were written: from the third step on. */
bool to_audio_micro_step(to_audio_micro *state, const int16_t samples[TO_AUDIO_MICRO_STEP],
                         uint16_t features[TO_AUDIO_MICRO_CHANNELS]);

/* One frame as bytes of an int8 or uint8 input. */
void to_audio_micro_quantize(const uint16_t features[TO_AUDIO_MICRO_CHANNELS],
                             const to_audio_micro_quantization *quantization, void *output);

#ifdef __cplusplus
}
#endif

#endif
