"""Adaptive rounding of weights: up or down, so that the layer's outputs, not the weights, come out closest.

Source: Nagel et al., "Up or Down? Adaptive Rounding for Post-Training Quantization", 2020: soft rounding variables,
a regularizer that drives them to 0 or 1, Adam. As the error of a linear layer is quadratic in its weights, the second
moments of its inputs stand for the data here, and no data is held. What the relaxation leaves is improved by single
changes of weights, each of which lowers the error (coordinate descent), and the result is never worse than rounding
to nearest.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinyops.ops.base import Array

#: Stretch of the rectified sigmoid (zeta and gamma of the paper).
_HIGH, _LOW = 1.1, -0.1
_RATE = 0.1
_WARM_UP = 0.2
_BETA_FIRST, _BETA_LAST = 20.0, 2.0
_WEIGHT = 3.0
_SWEEPS = 3


@dataclass(frozen=True, eq=False)
class Reconstruction:
    """The expected squared output error of weights off by E: sum of E.T @ moments @ E + 2 * residual.T @ E.

    `moments` float64[groups, depth, depth] are the covariance of the inputs, `residual` [groups, depth, units] the
    covariance of the inputs with the outputs' error for exact weights.
    """

    moments: Array
    residual: Array

    def error(self, difference: Array) -> Array:
        """float64[groups, units] for weights off by `difference` [groups, depth, units]."""
        found: Array = (difference * (self.moments @ difference + 2 * self.residual)).sum(axis=1)
        return found


def round_adaptively(weights: Array, scales: Array, limit: int, target: Reconstruction, iterations: int) -> Array:
    """Integers [groups, depth, units] within +-limit for real `weights`; `scales` broadcast against them."""
    nearest = np.clip(np.round(weights / scales), -limit, limit)
    best, error = nearest, target.error(nearest * scales - weights)
    relaxed = _relax(weights / scales, scales, limit, target, iterations)
    for start in (relaxed, nearest):
        improved = _descend(start, weights, scales, limit, target)
        found = target.error(improved * scales - weights)
        better = found < error
        best = np.where(better[:, None], improved, best)
        error = np.minimum(found, error)
    return best


def _relax(exact: Array, scales: Array, limit: int, target: Reconstruction, iterations: int) -> Array:
    """Up or down for each of `exact` weights in steps of the scales, by Adam on soft rounding variables."""
    floor = np.clip(np.floor(exact), -limit, limit - 1)
    part = np.clip(exact - floor, 0.0, 1.0)
    logits = -np.log((_HIGH - _LOW) / (part - _LOW) - 1).astype(np.float32)
    # In units of the inputs' power, and of the error of rounding at random per unit: free of the data's scale.
    power = np.einsum("gdd->g", target.moments)[:, None, None] / exact.shape[1]
    power = np.where(power > 0, power, 1.0)
    moments = (target.moments / power).astype(np.float32)
    steps = np.broadcast_to(scales / scales.max(), exact.shape).astype(np.float32)
    residual = (target.residual / power / scales.max()).astype(np.float32)
    variance = np.einsum("gdd->gd", moments)[:, :, None] * (steps**2 / 12)
    slope = 2 * steps / np.maximum(variance.sum(axis=1, keepdims=True), 1e-20)
    offset = (floor - exact).astype(np.float32)
    first = second = np.zeros_like(logits)
    warm = int(iterations * _WARM_UP)
    for step in range(iterations):
        sigmoid = 1 / (1 + np.exp(-logits))
        stretched = sigmoid * (_HIGH - _LOW) + _LOW
        soft = np.clip(stretched, 0, 1)
        difference = (soft + offset) * steps
        gradient = (moments @ difference + residual) * slope
        if step >= warm:
            done = (step - warm) / max(iterations - warm, 1)
            beta = _BETA_LAST + (_BETA_FIRST - _BETA_LAST) * (1 - done)
            centred = 2 * soft - 1
            gradient -= _WEIGHT / soft.shape[1] * 2 * beta * np.sign(centred) * np.abs(centred) ** (beta - 1)
        gradient *= np.where((stretched > 0) & (stretched < 1), sigmoid * (1 - sigmoid) * (_HIGH - _LOW), 0)
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient**2
        rate = _RATE * np.sqrt(1 - 0.999 ** (step + 1)) / (1 - 0.9 ** (step + 1))
        logits = logits - rate * first / (np.sqrt(second) + 1e-12)
    hard: Array = floor + (1 / (1 + np.exp(-logits)) * (_HIGH - _LOW) + _LOW >= 0.5)
    return hard


def _descend(start: Array, weights: Array, scales: Array, limit: int, target: Reconstruction) -> Array:
    """Steps of one weight by one integer at a time, over all of depth, as long as they lower the error."""
    integers = start.copy()
    slope = target.moments @ (integers * scales - weights) + target.residual
    step = np.broadcast_to(scales, integers.shape)
    for _ in range(_SWEEPS):
        moved = False
        for d in range(integers.shape[1]):
            size, curve = step[:, d], target.moments[:, d, d, None]
            direction = -np.sign(slope[:, d])
            gain = 2 * direction * size * slope[:, d] + size**2 * curve
            change = np.where((gain < 0) & (np.abs(integers[:, d] + direction) <= limit), direction, 0)
            # No further from the exact weight than one step: more would only fit the calibration data.
            off = np.abs((integers[:, d] + change) * size - weights[:, d])
            change = np.where(off < size, change, 0)
            if change.any():
                moved = True
                integers[:, d] += change
                slope += target.moments[:, :, d, None] * (change * size)[:, None, :]
        if not moved:
            break
    return integers
