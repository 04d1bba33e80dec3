/* Sources: tensorflow/lite/experimental/microfrontend in tflite-micro; for rounding and scaling inside of the
 * FFT kissfft with FIXED_POINT=16. Conversions to int16_t and uint32_t wrap around where the reference does.
 */
#include "to_audio_micro.h"

#include <string.h>

#include "to_audio_micro_tables.h"

/* C99 leaves these two to the implementation; all arithmetic here relies on them. */
typedef char to_audio_assert_arithmetic_shift[(INT32_C(-3) >> 1) == -2 && (INT64_C(-3) >> 1) == -2 ? 1 : -1];
typedef char to_audio_assert_modular_conversion[(int16_t)INT32_C(0x1FFFE) == -2 ? 1 : -1];

enum { HALF = TO_AUDIO_MICRO_FFT / 2 };

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

/* Where the complex FFT wants input k: its four base-4 digits reversed. */
static int32_t reversed(int32_t k) { return (k & 3) << 6 | (k & 12) << 2 | (k >> 2 & 12) | k >> 6; }

/* The windowed samples in the order of the FFT, scaled up to full range; returns the shift. */
static int32_t apply_window(to_audio_micro *state) {
    int16_t *samples = state->samples;
    int16_t *work = state->work;
    int16_t peak = 0;
    memset(work, 0, sizeof state->work);
    for (int32_t i = 0; i < TO_AUDIO_MICRO_WINDOW; i++) {
        const int16_t value = (int16_t)(samples[i] * to_audio_window[i] >> TO_AUDIO_WEIGHT_BITS);
        const int16_t size = value < 0 ? (int16_t)-value : value; /* -32768 stays negative */
        peak = size > peak ? size : peak;
        work[2 * reversed(i / 2) + i % 2] = value;
    }
    const int32_t shift = 15 - bit_length((uint64_t)peak);
    for (int32_t i = 0; i < TO_AUDIO_MICRO_FFT; i++) {
        work[i] = (int16_t)((uint32_t)(uint16_t)work[i] << shift);
    }
    return shift;
}

/* Radix 4, on the points k, k + length, ..; the second is turned by root `angle`. */
static void butterfly(int16_t *x, int32_t k, int32_t length, int32_t angle) {
    const cpx a = divide(get(x, k), 4);
    const cpx b = mul(divide(get(x, k + length), 4), get(to_audio_twiddles, angle));
    const cpx c = mul(divide(get(x, k + 2 * length), 4), get(to_audio_twiddles, 2 * angle));
    const cpx d = mul(divide(get(x, k + 3 * length), 4), get(to_audio_twiddles, 3 * angle));
    const cpx even = sub(a, c), odd = add(a, c), plus = add(b, d), minus = sub(b, d);
    const cpx turned = {minus.im, (int16_t)-minus.re};
    put(x, k, add(odd, plus));
    put(x, k + length, add(even, turned));
    put(x, k + 2 * length, sub(odd, plus));
    put(x, k + 3 * length, sub(even, turned));
}

/* Complex FFT of HALF = 4^4 points, in place, input in reversed order; each of the stages divides by 4. */
static void complex_fft(int16_t *x) {
    for (int32_t length = 1; length < HALF; length *= 4) {
        for (int32_t first = 0; first < HALF; first += 4 * length) {
            for (int32_t i = 0; i < length; i++) {
                butterfly(x, first + i, length, i * (HALF / (4 * length)));
            }
        }
    }
}

/* From the spectrum of pairs to bins 1 .. HALF - 1 of the real samples, in place. */
static void split_spectrum(int16_t *x) {
    for (int32_t k = 1; k <= HALF / 2; k++) {
        const cpx mirrored = get(x, HALF - k);
        const cpx low = divide(get(x, k), 2);
        const cpx high = divide((cpx){mirrored.re, (int16_t)-mirrored.im}, 2);
        const cpx plus = add(low, high);
        const cpx turned = mul(sub(low, high), get(to_audio_split, k - 1));
        put(x, k, (cpx){(int16_t)((plus.re + turned.re) >> 1), (int16_t)((plus.im + turned.im) >> 1)});
        put(x, HALF - k, (cpx){(int16_t)((plus.re - turned.re) >> 1), (int16_t)((turned.im - plus.im) >> 1)});
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
static uint32_t reduce_noise(uint32_t signal, uint32_t smoothing, uint32_t *estimate) {
    const uint32_t scaled = signal << TO_AUDIO_ESTIMATE_BITS;
    const uint32_t kept = (1u << TO_AUDIO_NOISE_BITS) - smoothing;
    *estimate =
        (uint32_t)(((uint64_t)scaled * smoothing + (uint64_t)*estimate * kept) >> TO_AUDIO_NOISE_BITS);
    const uint32_t noise = *estimate < scaled ? *estimate : scaled;
    const uint32_t floor = (uint32_t)((uint64_t)signal * TO_AUDIO_FLOOR >> TO_AUDIO_NOISE_BITS);
    const uint32_t reduced = (scaled - noise) >> TO_AUDIO_ESTIMATE_BITS;
    return reduced > floor ? reduced : floor;
}

/* A table of parabolas, one for each power of two of the noise estimate. */
static uint32_t gain(uint32_t estimate) {
    if (estimate < 2) {
        return (uint32_t)to_audio_gain[estimate];
    }
    const int32_t bits = bit_length(estimate);
    const int16_t *row = to_audio_gain + 3 * (bits - 1);
    const int32_t fraction =
        (int32_t)((bits < 11 ? estimate << (11 - bits) : estimate >> (bits - 11)) & 0x3FF);
    const int32_t slope = (row[2] * fraction >> 5) + row[1] * 32;
    return (uint32_t)(((slope * fraction + (1 << 14)) >> 15) + row[0]);
}

/* Per-channel amplitude normalization: loud noise makes the gain small. */
static uint32_t control_gain(uint32_t signal, uint32_t estimate) {
    const uint32_t snr = (uint32_t)((uint64_t)signal * gain(estimate) >> TO_AUDIO_GAIN_SHIFT);
    return snr < 8192u ? snr * snr >> 20 : (snr >> 6) - 64u;
}

/* 64 times the natural logarithm; 0 for 0 and 1. */
static uint16_t logarithm(uint32_t x) {
    if (x < 2) {
        return 0;
    }
    const int32_t exponent = bit_length(x) - 1;
    const uint32_t rest = x - (UINT32_C(1) << exponent);
    const int32_t fraction = (int32_t)(exponent < 16 ? rest << (16 - exponent) : rest >> (exponent - 16));
    const int32_t segment = fraction >> 9;
    const int32_t base = to_audio_log2[segment];
    const int32_t bend = (to_audio_log2[segment + 1] - base) * (fraction & 0x1FF) >> 16;
    const uint32_t log2 = ((uint32_t)exponent << 16) + (uint32_t)(fraction + base + bend);
    const uint32_t natural = (uint32_t)((UINT64_C(45426) * log2 + 32768u) >> 16);
    return (uint16_t)(((natural << TO_AUDIO_LOG_SCALE_BITS) + 32768u) >> 16);
}

/* The bins' energies, weighted into the channels, and what follows for each channel. */
static void filter_channels(to_audio_micro *state, int32_t shift, uint16_t *features) {
    const int16_t *weight = to_audio_weights;
    uint64_t rising = 0;
    for (int32_t band = 0; band <= TO_AUDIO_MICRO_CHANNELS; band++) {
        uint64_t sum = rising;
        rising = 0;
        for (int32_t bin = to_audio_edges[band]; bin < to_audio_edges[band + 1]; bin++, weight++) {
            /* Both parts are of at most 32767: a sum of two halves. */
            const cpx value = get(state->work, bin);
            const uint64_t energy = (uint64_t)(value.re * value.re + value.im * value.im);
            sum += energy * (uint64_t)*weight;
            rising += energy * (uint64_t)((1 << TO_AUDIO_WEIGHT_BITS) - *weight);
        }
        if (band == 0) {
            continue; /* half of a filter, which rises into channel 0 */
        }
        const int32_t channel = band - 1;
        const uint32_t smoothing = channel % 2 == 0 ? TO_AUDIO_SMOOTHING_EVEN : TO_AUDIO_SMOOTHING_ODD;
        uint32_t *noise = &state->noise[channel];
        const uint32_t signal = reduce_noise(square_root(sum) >> shift, smoothing, noise);
        features[channel] = logarithm(control_gain(signal, *noise) << TO_AUDIO_CORRECTION_BITS);
    }
}

void to_audio_micro_init(to_audio_micro *state) { memset(state, 0, sizeof *state); }

bool to_audio_micro_step(to_audio_micro *state, const int16_t samples[TO_AUDIO_MICRO_STEP],
                         uint16_t features[TO_AUDIO_MICRO_CHANNELS]) {
    const int32_t kept = TO_AUDIO_MICRO_WINDOW - TO_AUDIO_MICRO_STEP;
    memcpy(state->samples + state->used, samples, TO_AUDIO_MICRO_STEP * sizeof *samples);
    if (state->used < kept) {
        state->used += TO_AUDIO_MICRO_STEP;
        return false;
    }
    const int32_t shift = apply_window(state);
    memmove(state->samples, state->samples + TO_AUDIO_MICRO_STEP, (size_t)kept * sizeof *samples);
    complex_fft(state->work);
    split_spectrum(state->work);
    filter_channels(state, shift, features);
    return true;
}

void to_audio_micro_quantize(const uint16_t features[TO_AUDIO_MICRO_CHANNELS],
                             const to_audio_micro_quantization *quantization, void *output) {
    const uint64_t denominator = quantization->denominator;
    uint8_t *bytes = output;
    for (int32_t i = 0; i < TO_AUDIO_MICRO_CHANNELS; i++) {
        const uint64_t scaled = (uint64_t)features[i] * quantization->numerator;
        const uint64_t twice = 2 * (scaled % denominator);
        int64_t value = (int64_t)(scaled / denominator) + quantization->zero_point;
        value += twice > denominator || (twice == denominator && (value & 1) != 0) ? 1 : 0;
        value = value < quantization->low ? quantization->low : value;
        value = value > quantization->high ? quantization->high : value;
        bytes[i] = (uint8_t)value;
    }
}
