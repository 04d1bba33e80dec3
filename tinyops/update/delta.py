"""Deltas between two model images of the same structure, as firmware/common decodes them (to_delta.h has the format).

A retrained model of the same structure has the same layout, so that byte i of the new image is best predicted by byte
i of the old one; what remains, small residuals or none, is coded by an adaptive binary range coder (G. N. N. Martin:
Range encoding, 1979). Firmware images, whose code moves, have their own deltas (firmware_delta.py).
"""

from __future__ import annotations

import hashlib
import struct
from typing import Any

import numpy as np

from tinyops.errors import TinyopsError

_MAGIC = b"TOD1"
_METHOD = 1
_HEADER = struct.Struct("<4sBBHII32s32s")
_LANES = (1, 2, 4)
_CLASSES = 8  # bits of the largest magnitude, 128
_HISTORY = 4
_FIRST_BITS = _CLASSES * _HISTORY * max(_LANES)  # the models of the bit after the class
_MODELS = _FIRST_BITS + _CLASSES
_EVEN = _MODELS  # not a model: a bit whose values are equally likely

_ONE = 1 << 15  # of a probability
_HALF = _ONE // 2
_RATE = 5
_LEAST_RANGE = 1 << 24
_MASK = (1 << 32) - 1

#: The largest result that apply_delta makes, in bytes.
LARGEST = 64 << 20

_Array = np.ndarray[Any, np.dtype[Any]]


def encode_delta(old: bytes, new: bytes) -> bytes:
    """The delta that makes `new` of `old`. TinyopsError when `new` is empty or larger than LARGEST bytes."""
    if not 0 < len(new) <= LARGEST:
        raise TinyopsError(f"an image of {len(new):,} bytes", where="delta", allowed=f"1 to {LARGEST:,} bytes")
    base = np.zeros(len(new), np.uint8)
    common = min(len(old), len(new))
    base[:common] = np.frombuffer(old[:common], np.uint8)
    residuals = (np.frombuffer(new, np.uint8) - base).view(np.int8).astype(np.int16)
    magnitudes = np.abs(residuals)
    classes = np.ceil(np.log2(magnitudes + 1)).astype(np.int16)  # bits of the magnitude
    choices = [_events(residuals, magnitudes, classes, lanes) for lanes in _LANES]
    best = min(range(len(_LANES)), key=lambda i: _estimate(*choices[i]))
    digests = hashlib.sha256(old).digest(), hashlib.sha256(new).digest()
    header = _HEADER.pack(_MAGIC, _METHOD, _LANES[best], 0, len(old), len(new), *digests)
    return header + _range_code(*choices[best])


def _events(residuals: _Array, magnitudes: _Array, classes: _Array, lanes: int) -> tuple[_Array, _Array]:
    """The bits to be coded in order, and the model of each: int16[events], bool[events]."""
    history = np.minimum(np.concatenate((np.zeros(1, np.int16), classes[:-1])), _HISTORY - 1)
    contexts = _CLASSES * (_HISTORY * (np.arange(len(classes)) % lanes) + history)
    counts = np.where(classes == _CLASSES, _CLASSES, 2 * classes + 1)
    which = np.repeat(np.arange(len(classes)), counts)
    step = np.arange(len(which)) - np.repeat(np.cumsum(counts) - counts, counts)
    size = classes[which]
    after = step - size - 1  # the bit's place behind the class; negative: it belongs to the class
    in_class = (after < 0) | (size == _CLASSES)
    magnitude_bits = (magnitudes[which] >> np.maximum(size - 2 - after, 0)) & 1 != 0
    bits = np.where(in_class, step < size, np.where(after == size - 1, residuals[which] < 0, magnitude_bits))
    models = np.where(in_class, contexts[which] + step, np.where(after == 0, _FIRST_BITS + size, _EVEN))
    return models.astype(np.int16), bits


def _estimate(models: _Array, bits: _Array) -> float:
    """About the bits that an adaptive coder needs: the entropy, and the price of learning each model."""
    ones = np.bincount(models[bits], minlength=_EVEN + 1).astype(float)
    zeros = np.bincount(models[~bits], minlength=_EVEN + 1).astype(float)
    total = ones + zeros
    with np.errstate(divide="ignore", invalid="ignore"):
        entropy = total * np.log2(total) - ones * np.log2(ones) - zeros * np.log2(zeros)
    exact = np.where((ones > 0) & (zeros > 0), entropy, 0.0)
    exact[_EVEN] = total[_EVEN]
    return float(exact.sum() + 0.5 * np.log2(total + 1).sum())


def _range_code(models: _Array, bits: _Array) -> bytes:
    probabilities = [_HALF] * (_MODELS + 1)
    out = bytearray()
    low, width = 0, _MASK
    for model, bit in zip(models.tolist(), bits.tolist(), strict=True):
        while width < _LEAST_RANGE:
            out.append(low >> 24)
            low = (low << 8) & _MASK
            width <<= 8
        probability = probabilities[model]  # of a zero: 31 to _ONE - 31
        bound = (width >> 15) * probability
        if bit:
            width -= bound
            low += bound
            if low > _MASK:
                low &= _MASK
                _carry(out)
            change = -(probability >> _RATE)
        else:
            width = bound
            change = (_ONE - probability) >> _RATE
        if model != _EVEN:
            probabilities[model] = probability + change
    return bytes(out) + low.to_bytes(4, "big")


def _carry(out: bytearray) -> None:
    at = len(out) - 1
    while out[at] == 0xFF:
        out[at] = 0
        at -= 1
    out[at] += 1


class _Decoder:
    """The range decoder; it takes exactly the bytes that the encoder wrote."""

    def __init__(self, stream: bytes) -> None:
        self._stream = stream
        self._at = 4
        self._code = int.from_bytes(stream[:4].ljust(4, b"\0"), "big")
        self._width = _MASK
        self._probabilities = [_HALF] * (_MODELS + 1)

    def bit(self, model: int) -> int:
        while self._width < _LEAST_RANGE:
            if self._at >= len(self._stream):
                raise TinyopsError("it ends early", where="delta")
            self._code = (self._code << 8 | self._stream[self._at]) & _MASK
            self._width <<= 8
            self._at += 1
        probability = self._probabilities[model]
        bound = (self._width >> 15) * probability
        bit = int(self._code >= bound)
        if bit:
            self._code -= bound
            self._width -= bound
            change = -(probability >> _RATE)
        else:
            self._width = bound
            change = (_ONE - probability) >> _RATE
        if model != _EVEN:
            self._probabilities[model] = probability + change
        return bit

    def at_end(self) -> bool:
        return self._code == 0 and self._at == len(self._stream)


def apply_delta(old: bytes, delta: bytes) -> bytes:
    """What `delta` makes of `old`. TinyopsError when it is malformed, for another base, or its digest is wrong."""
    if len(delta) < _HEADER.size:
        raise TinyopsError(f"{len(delta)} bytes are no delta", where="delta")
    magic, method, lanes, zero, base_size, size, base_digest, digest = _HEADER.unpack_from(delta)
    if (magic, method, zero) != (_MAGIC, _METHOD, 0) or lanes not in _LANES:
        raise TinyopsError("this is no delta", where="delta")
    if base_size != len(old) or base_digest != hashlib.sha256(old).digest():
        raise TinyopsError("it was made for another image", where="delta")
    if not 0 < size <= LARGEST:
        raise TinyopsError(f"a result of {size:,} bytes", where="delta", allowed=f"1 to {LARGEST:,} bytes")
    decoder = _Decoder(delta[_HEADER.size :])
    new = bytearray()
    history = 0
    for i in range(size):
        residual, length = _decode_residual(decoder, _CLASSES * (_HISTORY * (i % lanes) + history))
        history = min(length, _HISTORY - 1)
        new.append(((old[i] if i < len(old) else 0) + residual) & 0xFF)
    if not decoder.at_end() or hashlib.sha256(new).digest() != digest:
        raise TinyopsError("it is malformed", where="delta")
    return bytes(new)


def _decode_residual(decoder: _Decoder, context: int) -> tuple[int, int]:
    """A residual modulo 256 and its class."""
    length = 0
    while length < _CLASSES and decoder.bit(context + length):
        length += 1
    if length in (0, _CLASSES):
        return (128 if length else 0), length
    magnitude, model = 1, _FIRST_BITS + length
    for _ in range(length - 1):
        magnitude = magnitude * 2 + decoder.bit(model)
        model = _EVEN
    return (-magnitude if decoder.bit(model) else magnitude), length
