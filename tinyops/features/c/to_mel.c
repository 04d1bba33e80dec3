/* Radix-2 FFT of half the points and its split for real input: e.g. Sorensen et al., "Real-valued fast
 * Fourier transform algorithms", IEEE Transactions on ASSP 35 (1987).
 *
 * Bounds. Samples are shifted so that |x| <= 2^30 =: P. Two of them make a complex point of at most R =
 * 2^30.5. A stage of the FFT halves the sum of a point and a turned one, so that no point exceeds R; its
 * rounding adds less than 1 and the cosines' error less than 2, in at most 10 stages less than 30: all parts
 * fit int32. The split gives X, the spectrum of the samples / fft, with |X| <= R + 31 likewise. By Parseval
 * the sum of |X|^2 is at most P^2, with all errors E < 32 per bin less than P^2 + 2 E P sqrt(1025) + 1025 E^2
 * < 2^61: sums of energies never overflow, and sums of magnitudes are below sqrt(1025 * 2^61) < 2^36.
 */
#include "to_mel.h"

#include <stddef.h>
#include <string.h>

/* C99 leaves it to the implementation; the arithmetic here relies on it. */
typedef char to_mel_assert_arithmetic_shift[(INT32_C(-3) >> 1) == -2 && (INT64_C(-3) >> 1) == -2 ? 1 : -1];

#define ONE (INT64_C(1) << 30)

typedef struct {
    int32_t re;
    int32_t im;
} cpx;

/* mantissa * 2^exponent, 2^31 <= mantissa < 2^32. */
typedef struct {
    uint32_t mantissa;
    int32_t exponent;
} scaled;

static int32_t bit_length(uint64_t x) {
    int32_t n = 0;
    for (int32_t step = 32; step != 0; step >>= 1) {
        if (x >> step != 0) {
            x >>= step;
            n += step;
        }
    }
    return n + (int32_t)x;
}

static uint64_t shifted(uint64_t x, int32_t left) { return left >= 0 ? x << left : x >> -left; }

/* floor(x * weight / 2^31); x < 2^62, weight <= 2^31. */
static uint64_t scale(uint64_t x, uint32_t weight) {
    return ((x >> 32) * weight << 1) + ((x & UINT32_MAX) * weight >> 31);
}

static cpx get(const int32_t *table, int32_t k) { return (cpx){table[2 * k], table[2 * k + 1]}; }

static void put(int32_t *table, int32_t k, cpx value) {
    table[2 * k] = value.re;
    table[2 * k + 1] = value.im;
}

/* cos and sin of 2 pi k / fft, 0 <= k <= fft / 2. */
static cpx root(const to_mel_config *config, int32_t k) {
    const int32_t quarter = config->fft / 4;
    return k <= quarter ? (cpx){config->cosines[k], config->cosines[quarter - k]}
                        : (cpx){-config->cosines[2 * quarter - k], config->cosines[k - quarter]};
}

/* Sample i of the frame with pre-emphasis, 30 fraction bits: of magnitude below 2^46. */
static int64_t emphasized(const to_mel_config *config, const int16_t *samples, int32_t i) {
    const int64_t x = samples[i + 1] * ONE;
    return config->preemphasis == 0 ? x : x - (int64_t)samples[i] * config->preemphasis;
}

/* The windowed frame as complex points in bit-reversed order, of up to 30 bits; returns the shift of the
 * samples. */
static int32_t load(const to_mel_config *config, const to_mel *state) {
    const int32_t window = config->window;
    uint64_t peak = 0;
    for (int32_t i = 0; i < window; i++) {
        const int64_t x = emphasized(config, state->samples, i);
        const uint64_t size = (uint64_t)(x < 0 ? -x : x);
        peak = size > peak ? size : peak;
    }
    const int32_t bits = bit_length(peak);
    const int32_t shift = bits > 30 ? bits - 30 : 0;
    memset(state->work, 0, (size_t)config->fft * sizeof *state->work);
    for (int32_t i = 0, reversed = 0; i < window; i++) {
        int64_t x = (emphasized(config, state->samples, i) + ((INT64_C(1) << shift) >> 1)) >> shift;
        if (config->weights != NULL) {
            const int32_t mirrored = config->mirror - i;
            x = (x * config->weights[i < mirrored ? i : mirrored] + ONE) >> 31;
        }
        state->work[2 * reversed + (i & 1)] = (int32_t)x;
        if ((i & 1) != 0) { /* counts in reversed bits */
            int32_t bit = config->fft / 4;
            for (; (reversed & bit) != 0; bit >>= 1) {
                reversed ^= bit;
            }
            reversed |= bit;
        }
    }
    return shift;
}

/* (a + b + 1) / 2, floored, without the carry that int32 lacks. */
static int32_t mean(int32_t a, int32_t b) { return (a | b) - ((a ^ b) >> 1); }

/* The points k and k + length of a stage, the second turned by -angle; by 0 or a quarter without products. */
static void butterfly(int32_t *x, int32_t k, int32_t length, cpx angle) {
    const cpx a = get(x, k), b = get(x, k + length);
    if (angle.im == 0 || angle.re == 0) {
        const cpx c = angle.im == 0 ? b : (cpx){b.im, -b.re};
        put(x, k, (cpx){mean(a.re, c.re), mean(a.im, c.im)});
        put(x, k + length, (cpx){mean(a.re, -c.re), mean(a.im, -c.im)});
        return;
    }
    const int64_t re = (int64_t)b.re * angle.re + (int64_t)b.im * angle.im;
    const int64_t im = (int64_t)b.im * angle.re - (int64_t)b.re * angle.im;
    const int64_t p = a.re * ONE + ONE, q = a.im * ONE + ONE;
    put(x, k, (cpx){(int32_t)((p + re) >> 31), (int32_t)((q + im) >> 31)});
    put(x, k + length, (cpx){(int32_t)((p - re) >> 31), (int32_t)((q - im) >> 31)});
}

/* FFT of fft / 2 points, divided by their number, in place; input in bit-reversed order. */
static void complex_fft(const to_mel_config *config, int32_t *x) {
    const int32_t points = config->fft / 2;
    for (int32_t length = 1; length < points; length *= 2) {
        for (int32_t i = 0; i < length; i++) {
            const cpx angle = root(config, i * (points / length));
            for (int32_t k = i; k < points; k += 2 * length) {
                butterfly(x, k, length, angle);
            }
        }
    }
}

static int32_t quarter(int64_t x) { return (int32_t)((x + 2 * ONE) >> 32); }

/* Bins 0 .. fft / 2 of the real samples, in place; both ends are real, the last is the imaginary part of bin
 * 0. */
static void split_spectrum(const to_mel_config *config, int32_t *x) {
    const int32_t points = config->fft / 2;
    for (int32_t k = 1; k <= points / 2; k++) {
        const cpx low = get(x, k), high = get(x, points - k), angle = root(config, k);
        const int64_t a = ((int64_t)low.re + high.re) * ONE, b = ((int64_t)low.im - high.im) * ONE;
        const int64_t p = (int64_t)low.re - high.re, q = (int64_t)low.im + high.im;
        const int64_t u = q * angle.re - p * angle.im, v = -p * angle.re - q * angle.im;
        put(x, points - k, (cpx){quarter(a - u), quarter(v - b)});
        put(x, k, (cpx){quarter(a + u), quarter(v + b)});
    }
    const int64_t even = 2 * (int64_t)x[0] * ONE, odd = 2 * (int64_t)x[1] * ONE;
    put(x, 0, (cpx){quarter(even + odd), quarter(even - odd)});
}

/* floor(sqrt(x)), x >= 2^30. */
static uint32_t integer_root(uint32_t x) {
    uint32_t result = 0;
    for (uint32_t bit = UINT32_C(1) << 30; bit != 0; bit >>= 2) {
        const uint32_t trial = result + bit;
        result >>= 1;
        if (x >= trial) {
            x -= trial;
            result += bit;
        }
    }
    return result;
}

/* 2^20 * sqrt(x) for x < 2^62: the root of the upper 31 or 32 bits, and one linear step. */
static uint64_t square_root(uint64_t x) {
    if (x == 0) {
        return 0;
    }
    const int32_t bits = bit_length(x);
    const int32_t shift = bits - 32 + (bits & 1);
    const uint32_t top = (uint32_t)shifted(x, -shift);
    const uint32_t high = integer_root(top); /* 2^15 <= high < 2^16, and the rest is at most 2 * high */
    const uint32_t fine = (high << 15) + ((top - high * high) << 14) / high;
    return shifted(fine, shift / 2 + 5);
}

/* What of bin k is filtered: its energy, or 2^20 times its magnitude. */
static uint64_t level(const to_mel_config *config, const int32_t *spectrum, int32_t k) {
    const int32_t last = config->fft / 2;
    const int64_t re = k == last ? spectrum[1] : spectrum[2 * k];
    const int64_t im = k == 0 || k == last ? 0 : spectrum[2 * k + 1];
    const uint64_t energy = (uint64_t)(re * re) + (uint64_t)(im * im);
    return config->magnitude != 0 ? square_root(energy) : energy;
}

static bool less(scaled a, scaled b) {
    return a.exponent < b.exponent || (a.exponent == b.exponent && a.mantissa < b.mantissa);
}

/* large + small, what is below its last bit cut off. */
static scaled sum(scaled large, scaled small) {
    const int32_t distance = large.exponent - small.exponent;
    const uint64_t total = (uint64_t)large.mantissa + (distance < 32 ? small.mantissa >> distance : 0);
    const int32_t carry = (int32_t)(total >> 32);
    return (scaled){(uint32_t)(total >> carry), large.exponent + carry};
}

/* log2 of level * 2^exponent and the floor, 20 fraction bits; of magnitude below 2^27. */
static int32_t logarithm(const to_mel_config *config, uint64_t value, int32_t exponent) {
    scaled x = {config->floor_mantissa, config->floor_exponent};
    if (value != 0) {
        const int32_t bits = bit_length(value);
        const scaled y = {(uint32_t)shifted(value, 32 - bits), exponent + bits - 32};
        const bool below = less(y, x);
        const scaled large = below ? x : y;
        x = config->clip != 0 ? large : sum(large, below ? y : x);
    }
    const uint32_t *entry = config->log2 + (x.mantissa >> 24 & 127);
    const uint32_t curve = entry[0] + ((entry[1] - entry[0]) * (x.mantissa >> 8 & 0xFFFF) >> 16);
    return (x.exponent + 31) * (INT32_C(1) << 20) + (int32_t)curve;
}

/* The logarithm of each filter's sum. */
static void filter(const to_mel_config *config, to_mel *state, int32_t exponent) {
    const uint32_t *falling = config->falling;
    uint64_t rising = 0;
    for (int32_t band = 0; band <= config->channels; band++) {
        uint64_t total = rising;
        rising = 0;
        for (int32_t k = config->edges[band]; k < config->edges[band + 1]; k++, falling++) {
            const uint64_t value = level(config, state->work, k);
            const uint64_t part = scale(value, *falling);
            total += part;
            rising += value - part;
        }
        if (band == 0) {
            continue; /* half of a filter, which rises into channel 0 */
        }
        const int32_t channel = band - 1;
        if (config->gains != NULL) {
            total = scale(total, config->gains[channel]);
        }
        state->logarithms[channel] = logarithm(config, total, exponent + config->gain_exponent);
    }
}

static int32_t frame_energy(const to_mel_config *config, const int32_t *spectrum, int32_t exponent) {
    uint64_t total = 0;
    for (int32_t k = 0; k <= config->fft / 2; k++) {
        total += level(config, spectrum, k);
    }
    return logarithm(config, total, exponent);
}

/* Row `row` of the DCT, 17 fraction bits. 128 products of less than 2^27 and 2^28 + 1 fit int64. */
static int32_t cepstrum(const to_mel_config *config, const int32_t *logarithms, int32_t row) {
    const int32_t half = 2 * config->channels;
    int64_t total = 0;
    for (int32_t c = 0, k = row; c < config->channels; c++) {
        const int32_t cosine = k < half ? config->dct[k] : -config->dct[k - half];
        total += (int64_t)logarithms[c] * cosine;
        k += 2 * row; /* row <= channels / 1: less than a turn */
        k -= k >= 2 * half ? 2 * half : 0;
    }
    return (int32_t)((total + ONE) >> 31);
}

static void finish(const to_mel_config *config, const to_mel *state, int32_t exponent, int32_t *frame) {
    for (int32_t i = 0; i < config->features; i++) {
        int32_t value;
        if (i == 0 && config->energy != 0) {
            value = frame_energy(config, state->work, exponent);
        } else if (config->dct != NULL) {
            value = cepstrum(config, state->logarithms, config->first_row + i);
        } else {
            value = state->logarithms[i];
        }
        const int64_t product = (int64_t)value * config->multipliers[i];
        frame[i] =
            (int32_t)((product + (INT64_C(1) << (config->shift - 1))) >> config->shift) + config->biases[i];
    }
}

void to_mel_init(const to_mel_config *config, to_mel *state) {
    (void)config;
    state->used = 0;
    state->samples[0] = 0;
}

void to_mel_push(const to_mel_config *config, to_mel *state, const int16_t *step) {
    memcpy(state->samples + 1 + state->used, step, (size_t)config->hop * sizeof *step);
    state->used += config->hop;
}

bool to_mel_pull(const to_mel_config *config, to_mel *state, int32_t *frame) {
    if (state->used < config->window) {
        return false;
    }
    const int32_t shift = load(config, state);
    const int32_t exponent = config->exponent + (config->magnitude != 0 ? shift : 2 * shift);
    state->used -= config->hop;
    memmove(state->samples, state->samples + config->hop, (size_t)(state->used + 1) * sizeof *state->samples);
    complex_fft(config, state->work);
    split_spectrum(config, state->work);
    filter(config, state, exponent);
    finish(config, state, exponent, frame);
    return true;
}
