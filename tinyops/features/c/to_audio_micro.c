/* Sources: tensorflow/lite/experimental/microfrontend in tflite-micro; for rounding and scaling inside of the
 * FFT kissfft with FIXED_POINT=16. Conversions to int16_t and uint32_t wrap around where the reference does.
 */
#include "to_audio_micro.h"

#include <string.h>

/* C99 leaves these two to the implementation; all arithmetic here relies on them. */
typedef char to_audio_assert_arithmetic_shift[(INT32_C(-3) >> 1) == -2 && (INT64_C(-3) >> 1) == -2 ? 1 : -1];
typedef char to_audio_assert_modular_conversion[(int16_t)INT32_C(0x1FFFE) == -2 ? 1 : -1];

typedef struct {
    int16_t re;
    int16_t im;
} cpx;

static int32_t bit_length(uint64_t x) {
    int32_t n = 0;
    for (; x != 0; x >>= 1) {
        n++;
    }
    return n;
}

static cpx add(cpx a, cpx b) { return (cpx){(int16_t)(a.re + b.re), (int16_t)(a.im + b.im)}; }

static cpx sub(cpx a, cpx b) { return (cpx){(int16_t)(a.re - b.re), (int16_t)(a.im - b.im)}; }

/* 15 fraction bits, rounded; |x| < 2^31 - 2^14. */
static int16_t round15(int32_t x) { return (int16_t)((x + (1 << 14)) >> 15); }

/* Both factors have 15 fraction bits; w is a root of unity, of at most 32767 in each part. */
static cpx mul(cpx a, cpx w) {
    return (cpx){round15(a.re * w.re - a.im * w.im), round15(a.re * w.im + a.im * w.re)};
}

static cpx divide(cpx a, int32_t divisor) {
    const int32_t factor = 32767 / divisor;
    return (cpx){round15(a.re * factor), round15(a.im * factor)};
}

static cpx get(const int16_t *table, int32_t k) { return (cpx){table[2 * k], table[2 * k + 1]}; }

static void put(int16_t *table, int32_t k, cpx value) {
    table[2 * k] = value.re;
    table[2 * k + 1] = value.im;
}

/* Where the complex FFT of `half` points wants input k: its base-4 digits reversed. */
static int32_t reversed(int32_t k, int32_t half) {
    int32_t result = 0;
    for (; half > 1; half >>= 2, k >>= 2) {
        result = result << 2 | (k & 3);
    }
    return result;
}

/* The windowed samples in the order of the FFT, scaled up to full range; returns the shift. */
static int32_t apply_window(const to_audio_micro_config *config, const to_audio_micro *state) {
    int16_t *work = state->work;
    int16_t peak = 0;
    memset(work, 0, (size_t)config->fft_length * sizeof *work);
    for (int32_t i = 0; i < config->window_length; i++) {
        const int16_t value = (int16_t)(state->samples[i] * config->window[i] >> config->weight_bits);
        const int16_t size = value < 0 ? (int16_t)-value : value; /* -32768 stays negative */
        peak = size > peak ? size : peak;
        work[2 * reversed(i / 2, config->fft_length / 2) + i % 2] = value;
    }
    const int32_t shift = 15 - bit_length((uint64_t)peak);
    for (int32_t i = 0; i < config->fft_length; i++) {
        work[i] = (int16_t)((uint32_t)(uint16_t)work[i] << shift);
    }
    return shift;
}

/* Radix 4, on the points k, k + length, ..; the second is turned by root `angle`. */
static void butterfly(const int16_t *roots, int16_t *x, int32_t k, int32_t length, int32_t angle) {
    const cpx a = divide(get(x, k), 4);
    const cpx b = mul(divide(get(x, k + length), 4), get(roots, angle));
    const cpx c = mul(divide(get(x, k + 2 * length), 4), get(roots, 2 * angle));
    const cpx d = mul(divide(get(x, k + 3 * length), 4), get(roots, 3 * angle));
    const cpx even = sub(a, c), odd = add(a, c), plus = add(b, d), minus = sub(b, d);
    const cpx turned = {minus.im, (int16_t)-minus.re};
    put(x, k, add(odd, plus));
    put(x, k + length, add(even, turned));
    put(x, k + 2 * length, sub(odd, plus));
    put(x, k + 3 * length, sub(even, turned));
}

/* Complex FFT of half = 4^n points, in place, input in reversed order; each of the stages divides by 4. */
static void complex_fft(const int16_t *roots, int16_t *x, int32_t half) {
    for (int32_t length = 1; length < half; length *= 4) {
        for (int32_t first = 0; first < half; first += 4 * length) {
            for (int32_t i = 0; i < length; i++) {
                butterfly(roots, x, first + i, length, i * (half / (4 * length)));
            }
        }
    }
}

/* From the spectrum of pairs to bins 1 .. half - 1 of the real samples, in place. */
static void split_spectrum(const int16_t *roots, int16_t *x, int32_t half) {
    for (int32_t k = 1; k <= half / 2; k++) {
        const cpx mirrored = get(x, half - k);
        const cpx low = divide(get(x, k), 2);
        const cpx high = divide((cpx){mirrored.re, (int16_t)-mirrored.im}, 2);
        const cpx plus = add(low, high);
        const cpx turned = mul(sub(low, high), get(roots, k - 1));
        put(x, k, (cpx){(int16_t)((plus.re + turned.re) >> 1), (int16_t)((plus.im + turned.im) >> 1)});
        put(x, half - k, (cpx){(int16_t)((plus.re - turned.re) >> 1), (int16_t)((turned.im - plus.im) >> 1)});
    }
}

/* Rounded; for x of 32 bits saturated to 16 bits, as the reference. */
static uint32_t square_root(uint64_t x) {
    const uint32_t limit = x >> 32 != 0 ? UINT32_MAX : UINT16_MAX;
    uint64_t root = 0;
    uint64_t bit = x == 0 ? 0 : UINT64_C(1) << ((bit_length(x) - 1) & ~1);
    for (; bit != 0; bit >>= 2) {
        const uint64_t trial = root + bit;
        root >>= 1;
        if (x >= trial) {
            x -= trial;
            root += bit;
        }
    }
    return (uint32_t)(x > root && root != limit ? root + 1 : root);
}

/* Subtracts the noise, of which `estimate` is a slow average; keeps a floor of the signal. */
static uint32_t reduce_noise(const to_audio_micro_config *config, uint32_t signal, uint32_t smoothing,
                             uint32_t *estimate) {
    const uint32_t scaled = signal << config->estimate_bits;
    const uint32_t kept = (1u << config->noise_bits) - smoothing;
    *estimate = (uint32_t)(((uint64_t)scaled * smoothing + (uint64_t)*estimate * kept) >> config->noise_bits);
    const uint32_t noise = *estimate < scaled ? *estimate : scaled;
    const uint32_t floor = (uint32_t)((uint64_t)signal * config->floor >> config->noise_bits);
    const uint32_t reduced = (scaled - noise) >> config->estimate_bits;
    return reduced > floor ? reduced : floor;
}

/* A table of parabolas, one for each power of two of the noise estimate. */
static uint32_t gain(const int16_t *parabolas, uint32_t estimate) {
    if (estimate < 2) {
        return (uint32_t)parabolas[estimate];
    }
    const int32_t bits = bit_length(estimate);
    const int16_t *row = parabolas + 3 * (bits - 1);
    const int32_t fraction =
        (int32_t)((bits < 11 ? estimate << (11 - bits) : estimate >> (bits - 11)) & 0x3FF);
    const int32_t slope = (row[2] * fraction >> 5) + row[1] * 32;
    return (uint32_t)(((slope * fraction + (1 << 14)) >> 15) + row[0]);
}

/* Per-channel amplitude normalization: loud noise makes the gain small. */
static uint32_t control_gain(const to_audio_micro_config *config, uint32_t signal, uint32_t estimate) {
    const uint32_t snr = (uint32_t)((uint64_t)signal * gain(config->gain, estimate) >> config->gain_shift);
    return snr < 8192u ? snr * snr >> 20 : (snr >> 6) - 64u;
}

/* 64 times the natural logarithm; 0 for 0 and 1. */
static uint16_t logarithm(const to_audio_micro_config *config, uint32_t x) {
    if (x < 2) {
        return 0;
    }
    const int32_t exponent = bit_length(x) - 1;
    const uint32_t rest = x - (UINT32_C(1) << exponent);
    const int32_t fraction = (int32_t)(exponent < 16 ? rest << (16 - exponent) : rest >> (exponent - 16));
    const int32_t segment = fraction >> 9;
    const int32_t base = config->log2[segment];
    const int32_t bend = (config->log2[segment + 1] - base) * (fraction & 0x1FF) >> 16;
    const uint32_t log2 = ((uint32_t)exponent << 16) + (uint32_t)(fraction + base + bend);
    const uint32_t natural = (uint32_t)((UINT64_C(45426) * log2 + 32768u) >> 16);
    return (uint16_t)(((natural << config->log_scale_bits) + 32768u) >> 16);
}

/* The bins' energies, weighted into the channels, and what follows for each channel. */
static void filter_channels(const to_audio_micro_config *config, to_audio_micro *state, int32_t shift,
                            uint16_t *features) {
    const int16_t *weight = config->weights;
    uint64_t rising = 0;
    for (int32_t band = 0; band <= config->channels; band++) {
        uint64_t sum = rising;
        rising = 0;
        for (int32_t bin = config->edges[band]; bin < config->edges[band + 1]; bin++, weight++) {
            /* Both parts are of at most 32767: a sum of two halves. */
            const cpx value = get(state->work, bin);
            const uint64_t energy = (uint64_t)(value.re * value.re + value.im * value.im);
            sum += energy * (uint64_t)*weight;
            rising += energy * (uint64_t)((1 << config->weight_bits) - *weight);
        }
        if (band == 0) {
            continue; /* half of a filter, which rises into channel 0 */
        }
        const int32_t channel = band - 1;
        uint32_t *noise = &state->noise[channel];
        const uint32_t signal =
            reduce_noise(config, square_root(sum) >> shift, config->smoothing[channel], noise);
        features[channel] =
            logarithm(config, control_gain(config, signal, *noise) << config->correction_bits);
    }
}

void to_audio_micro_init(const to_audio_micro_config *config, to_audio_micro *state) {
    state->used = 0;
    memset(state->noise, 0, (size_t)config->channels * sizeof *state->noise);
}

void to_audio_micro_push(const to_audio_micro_config *config, to_audio_micro *state, const int16_t *step) {
    memcpy(state->samples + state->used, step, (size_t)config->step_length * sizeof *step);
    state->used += config->step_length;
}

bool to_audio_micro_pull(const to_audio_micro_config *config, to_audio_micro *state, uint16_t *frame) {
    if (state->used < config->window_length) {
        return false;
    }
    const int32_t shift = apply_window(config, state);
    state->used -= config->step_length;
    memmove(state->samples, state->samples + config->step_length,
            (size_t)state->used * sizeof *state->samples);
    complex_fft(config->twiddles, state->work, config->fft_length / 2);
    split_spectrum(config->split, state->work, config->fft_length / 2);
    filter_channels(config, state, shift, frame);
    return true;
}
