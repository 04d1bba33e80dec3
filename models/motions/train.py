"""Train the motions model: ten seconds of a wrist's accelerometer and gyroscope -> four activities, quantized to int8.

Run from the repository's root: `python -m models.motions.train` (packages: models/requirements-train.txt).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tensorflow as tf

from models.timeseries import AEON_VERSION, read_split
from models.training import (
    Floats,
    Labels,
    Reference,
    accuracy_table,
    cost_table,
    make_deterministic,
    port_table,
    quantize,
    write_folder,
)

SEED = 7
STEPS = 1500
BATCH = 32
SAMPLES, CHANNELS = 100, 6
CLASSES = ("Standing", "Walking", "Running", "Badminton")
# Full scale of the int8 input; above it the signal is clipped. Units as in the file (acceleration without gravity,
# then angular rate), which does not name them.
FULL_SCALE = np.array([24, 24, 24, 16, 16, 16], np.float32)


def load(split: str) -> tuple[Floats, Labels]:
    """Recordings [40, 1, 100, 6] scaled to -1..1 and class indices; `split` TRAIN or TEST."""
    recordings, names = read_split("BasicMotions", split)
    scaled = np.clip(np.stack(recordings) / FULL_SCALE, -1, 1)
    return scaled[:, np.newaxis].astype(np.float32), np.array([CLASSES.index(name) for name in names], np.int64)


def separable(x: tf.Tensor, channels: int, kernel: int, stride: int) -> tf.Tensor:
    """Depthwise along time, then pointwise. Keras wants equal strides; with height 1 the other one is idle."""
    x = tf.keras.layers.DepthwiseConv2D((1, kernel), strides=stride, padding="same", activation="relu")(x)
    return tf.keras.layers.Conv2D(channels, 1, activation="relu")(x)


def network() -> tf.keras.Model:
    signal = tf.keras.Input((1, SAMPLES, CHANNELS))
    x = tf.keras.layers.Conv2D(16, (1, 9), strides=(1, 2), activation="relu")(signal)
    x = separable(x, 24, 5, 2)
    x = separable(x, 32, 5, 2)
    x = tf.keras.layers.GlobalAveragePooling2D()(x)
    x = tf.keras.layers.Dropout(0.3)(x)
    return tf.keras.Model(signal, tf.keras.layers.Dense(len(CLASSES), activation="softmax")(x))


def augment(signals: Floats, random: np.random.Generator) -> Floats:
    """Copies rolled in time, with a gain for each sensor and a little noise."""
    starts = random.integers(0, SAMPLES, len(signals))
    rolled = np.stack([np.roll(signal, start, axis=1) for signal, start in zip(signals, starts, strict=True)])
    gains = np.repeat(random.uniform(0.7, 1.3, (len(signals), 1, 1, 2)), 3, axis=3)
    return np.clip(rolled * gains + random.normal(0, 0.005, rolled.shape), -1, 1).astype(np.float32)


def train(signals: Floats, labels: Labels) -> tf.keras.Model:
    random = np.random.default_rng(SEED)
    model = network()
    model.compile(
        tf.keras.optimizers.AdamW(tf.keras.optimizers.schedules.CosineDecay(3e-3, STEPS), weight_decay=1e-3),
        tf.keras.losses.CategoricalCrossentropy(label_smoothing=0.05),
    )
    targets = np.eye(len(CLASSES), dtype=np.float32)[labels]
    for _ in range(STEPS):
        batch = random.choice(len(signals), BATCH, replace=False)
        model.train_on_batch(augment(signals[batch], random), targets[batch])
    return model


def main() -> None:
    make_deterministic(SEED)
    train_signals, train_labels = load("TRAIN")
    test_signals, test_labels = load("TEST")
    network_ = train(train_signals, train_labels)
    float_correct = int((network_(test_signals, training=False).numpy().argmax(1) == test_labels).sum())

    module = tf.Module()
    module.network = network_

    @tf.function(input_signature=[tf.TensorSpec([1, 1, SAMPLES, CHANNELS], tf.float32, name="signal")])
    def classify(signal: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"probabilities": network_(signal, training=False)}

    module.classify = classify
    model = quantize(module, classify, train_signals)
    reference = Reference(model)
    inputs = reference.input.quantize(test_signals)
    outputs = reference.run(inputs)
    accuracy = accuracy_table(float_correct, int((outputs.argmax(1) == test_labels).sum()), len(test_labels))
    card = {
        "title": "Activity from a smart watch",
        "task": "time series classification",
        "classes": list(CLASSES),
        "decision": "argmax of each output",
        "input": port_table(
            reference.input,
            "100 samples at 10 Hz of accelerometer x, y, z, each divided by 24, and gyroscope x, y, z, each divided by "
            "16; 1.0 is full scale, and the rest is clipped",
        ),
        "output": port_table(reference.output, "probability of each class"),
        "data": {
            "name": "BasicMotions, UEA multivariate time series classification archive",
            "package": f"aeon=={AEON_VERSION}, aeon/datasets/data/BasicMotions",
            "source": "https://www.timeseriesclassification.com/description.php?Dataset=BasicMotions",
            "licence": "BSD-3-Clause, as part of the aeon package; the data file states no licence of its own",
            "citation": "A. Bagnall et al.: The UEA multivariate time series classification archive, 2018. "
            "https://arxiv.org/abs/1811.00075",
            "changes": "scaled, clipped and quantized to int8",
            "split": "the archive's own: 40 recordings train, 40 test, 10 of each class; it does not name "
            "the four students, so expect each of them in both",
        },
        "accuracy": accuracy,
        "cost": cost_table(model),
        "training": {
            "script": "models/motions/train.py",
            "method": f"Keras, {STEPS} steps of AdamW with augmentation, then full-integer post-training quantization",
            "seed": SEED,
        },
    }
    test = {"inputs": inputs, "labels": test_labels.astype(np.uint8), "outputs": outputs}
    write_folder(Path(__file__).parent, model, test, card, "models/motions/train.py")
    print(f"float {accuracy['float']:.4f}, int8 {accuracy['int8']:.4f} of {accuracy['n']}, {len(model)} bytes")


if __name__ == "__main__":
    main()
