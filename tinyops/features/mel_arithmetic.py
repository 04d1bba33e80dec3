"""The integer arithmetic of the log-mel and MFCC front ends in NumPy; to_mel.c computes the same bits.

Bounds are argued in to_mel.c. Arrays have one row per frame.
"""

from __future__ import annotations

import numpy as np

from tinyops.features.base import Array
from tinyops.features.mel_tables import COSINE_BITS, LOG2_BITS, WEIGHT_BITS, log2_table

__all__ = ["bit_length", "levels", "log2", "normalize", "scale", "spectrum"]

_LOW = np.uint64(0xFFFFFFFF)
_TOP = np.uint64(32)


def bit_length(x: Array) -> Array:
    """int64: how many bits hold the values of a uint64 array; 0 for 0."""
    high, low = x >> _TOP, x & _LOW
    bits = np.where(high > 0, 32 + np.frexp(high.astype(float))[1], np.frexp(low.astype(float))[1])
    return np.asarray(bits, np.int64)


def _shift(x: Array, left: Array) -> Array:
    """uint64 x * 2^left, floored; the result must fit."""
    return np.asarray(x << np.maximum(left, 0).astype(np.uint64) >> np.maximum(-left, 0).astype(np.uint64))


def scale(x: Array, weight: Array) -> Array:
    """uint64: floor(x * weight / 2^WEIGHT_BITS) for x < 2^62 and weight <= 2^31."""
    weight = weight.astype(np.uint64)
    product = ((x >> _TOP) * weight << np.uint64(32 - WEIGHT_BITS)) + ((x & _LOW) * weight >> np.uint64(WEIGHT_BITS))
    return np.asarray(product)


def normalize(samples: Array, preemphasis: int) -> tuple[Array, Array]:
    """(int64[frames, window] of up to 30 bits, shift int64[frames]) of int16[frames, 1 + window].

    Column 0 is the sample before the frame. Values are 2^(30 - shift) * (sample - preemphasis * the one before).
    """
    wide = samples.astype(np.int64)
    x = wide[:, 1:] * (1 << 30) - wide[:, :-1] * preemphasis
    shift = np.maximum(bit_length(np.abs(x).max(1).astype(np.uint64)) - 30, 0)
    return (x + ((1 << shift) >> 1)[:, None]) >> shift[:, None], shift


def _roots(cosines: Array, index: Array) -> tuple[Array, Array]:
    """cos and sin of 2 pi index / fft, 0 <= index <= fft / 2, from the first quarter of the cosine."""
    quarter = len(cosines) - 1
    table = cosines.astype(np.int64)
    folded = np.where(index <= quarter, index, 2 * quarter - index)
    return np.where(index <= quarter, table[folded], -table[folded]), table[quarter - folded]


def _complex_fft(re: Array, im: Array, cosines: Array) -> tuple[Array, Array]:
    """FFT / length of a power of two of points; radix 2, each stage halves and rounds."""
    frames, points = re.shape
    bits = points.bit_length() - 1
    order = np.zeros(1, np.int64)
    for _ in range(bits):
        order = np.concatenate([2 * order, 2 * order + 1])
    re, im = re[:, order], im[:, order]
    one, half = 1 << COSINE_BITS, COSINE_BITS + 1
    length = 1
    while length < points:
        c, s = _roots(cosines, np.arange(length) * (points // length))
        first_re, second_re = np.moveaxis(re.reshape(frames, -1, 2, length), 2, 0)
        first_im, second_im = np.moveaxis(im.reshape(frames, -1, 2, length), 2, 0)
        pairs = (
            (first_re * one, second_re * c + second_im * s),
            (first_im * one, second_im * c - second_re * s),
        )
        re, im = (np.stack([(x + y + one) >> half, (x - y + one) >> half], 2).reshape(frames, points) for x, y in pairs)
        length *= 2
    return re, im


def spectrum(x: Array, cosines: Array) -> tuple[Array, Array]:
    """(re, im) int64[frames, fft / 2 + 1]: the FFT of int64[frames, fft], divided by fft; |x| <= 2^30."""
    half, one = x.shape[1] // 2, 1 << COSINE_BITS
    re, im = _complex_fft(x[:, ::2], x[:, 1::2], cosines)
    k = np.arange(half // 2 + 1)
    m = -k % half
    c, s = _roots(cosines, k)
    a, b = (re[:, k] + re[:, m]) * one, (im[:, k] - im[:, m]) * one
    p, q = re[:, k] - re[:, m], im[:, k] + im[:, m]
    u, v = q * c - p * s, -p * c - q * s
    result = np.zeros((2, len(x), half + 1), np.int64)
    quarter, rounding = COSINE_BITS + 2, 1 << (COSINE_BITS + 1)
    for bins, parts in ((half - k, (a - u, v - b)), (k, (a + u, b + v))):
        for part, values in zip(result, parts, strict=True):
            part[:, bins] = (values + rounding) >> quarter
    return result[0], result[1]


def _square_root(x: Array) -> Array:
    """uint64: 2^20 * the square root of x < 2^62, with an error below 2^-29 of it plus 1."""
    bits = bit_length(x)
    shift = bits - 32 + bits % 2
    top = _shift(x, -shift)
    root = np.maximum(np.sqrt(top.astype(float)).astype(np.uint64), np.uint64(1))
    fine = (root << np.uint64(15)) + (((top - root * root) << np.uint64(14)) // root)
    return np.where(x > 0, _shift(fine, shift // 2 + 5), np.uint64(0))


def levels(re: Array, im: Array, *, magnitude: bool) -> Array:
    """uint64: re^2 + im^2, or 2^20 times its square root."""
    energy = (re * re + im * im).astype(np.uint64)
    return _square_root(energy) if magnitude else energy


def log2(level: Array, exponent: Array, floor: tuple[int, int], *, clip: bool) -> Array:
    """int64: log2(level * 2^exponent + floor), or of the larger of both with `clip`; LOG2_BITS fraction bits.

    level is uint64, floor is (m, e) for m * 2^e, 2^31 <= m < 2^32.
    """
    bits = bit_length(level)
    m = _shift(level, 32 - bits)
    e = np.broadcast_to(exponent, level.shape) + bits - 32
    floor_m, floor_e = np.uint64(floor[0]), floor[1]
    floored = (level == 0) | (e < floor_e) | ((e == floor_e) & (m < floor_m))
    large_m, large_e = np.where(floored, floor_m, m), np.where(floored, floor_e, e)
    if not clip:
        small_m, small_e = np.where(floored, m, floor_m), np.where(floored, e, floor_e)
        distance = np.where(level == 0, 32, np.minimum(large_e - small_e, 32)).astype(np.uint64)
        total = large_m + (small_m >> distance)
        carry = total >> _TOP
        large_m, large_e = total >> carry, large_e + carry.astype(np.int64)
    table = log2_table().astype(np.int64)
    index, fraction = (
        (large_m >> np.uint64(24)).astype(np.int64) & 127,
        (large_m >> np.uint64(8)).astype(np.int64) & 0xFFFF,
    )
    curve = table[index] + ((table[index + 1] - table[index]) * fraction >> 16)
    return np.asarray((large_e + 31) * (1 << LOG2_BITS) + curve)
