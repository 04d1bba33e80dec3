"""Train the digits model: 8x8 images of handwritten digits -> ten classes, quantized to int8.

Run from the repository's root: `python -m models.digits.train` (packages: models/requirements-train.txt).
`python -m models.digits.train v2` trains it again, for longer, into v2/: what an update brings.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import tensorflow as tf
from sklearn.datasets import load_digits

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
EPOCHS = 60
SEED_V2, EPOCHS_V2 = 11, 90
BATCH = 32
# The file holds the sheets of the writers one after the other: each sheet repeats one sequence of 126 to 130 digits.
# The last three sheets begin at this image; no sheet is in both sets.
FIRST_TEST_IMAGE = 1415


def load() -> tuple[Floats, Labels]:
    """Images [1797, 8, 8, 1] with values 0..1, and their digits."""
    digits = load_digits()
    return (digits.images[..., np.newaxis] / 16.0).astype(np.float32), digits.target.astype(np.int64)


def convolution(x: tf.Tensor, channels: int, kernel: int, relu: bool = True) -> tf.Tensor:
    x = tf.keras.layers.Conv2D(channels, kernel, padding="same", use_bias=False)(x)
    x = tf.keras.layers.BatchNormalization(momentum=0.9)(x)
    return tf.keras.layers.ReLU()(x) if relu else x


def separable(x: tf.Tensor, channels: int, relu: bool = True) -> tf.Tensor:
    """Depthwise 3x3, then pointwise."""
    x = tf.keras.layers.DepthwiseConv2D(3, padding="same", use_bias=False)(x)
    x = tf.keras.layers.BatchNormalization(momentum=0.9)(x)
    return convolution(tf.keras.layers.ReLU()(x), channels, 1, relu)


def residual(x: tf.Tensor, channels: int) -> tf.Tensor:
    return tf.keras.layers.ReLU()(tf.keras.layers.Add()([x, separable(x, channels, relu=False)]))


def network() -> tf.keras.Model:
    image = tf.keras.Input((8, 8, 1), batch_size=None)
    x = residual(convolution(image, 24, 3), 24)
    x = tf.keras.layers.MaxPooling2D()(x)
    x = residual(separable(x, 48), 48)
    x = tf.keras.layers.AveragePooling2D(2)(x)
    x = tf.keras.layers.Dropout(0.3)(tf.keras.layers.Flatten()(x))
    return tf.keras.Model(image, tf.keras.layers.Dense(10, activation="softmax")(x))


def augment(images: Floats, random: np.random.Generator) -> Floats:
    """Slightly turned, scaled, slanted and shifted copies (bilinear), with a little noise."""
    n = len(images)
    angle, slant = random.uniform(-0.12, 0.12, n), random.uniform(-0.12, 0.12, n)
    scale_y, scale_x = random.uniform(0.93, 1.07, (2, n))
    shift_y, shift_x = random.uniform(-0.42, 0.42, (2, n))
    cos, sin = np.cos(angle), np.sin(angle)
    rows, columns = np.meshgrid(np.arange(8) - 3.5, np.arange(8) - 3.5, indexing="ij")
    y = np.multiply.outer(cos * scale_y, rows) - np.multiply.outer(sin * scale_x, columns)
    x = np.multiply.outer(sin * scale_y + slant, rows) + np.multiply.outer(cos * scale_x, columns)
    y, x = y + (3.5 + shift_y)[:, None, None] + 1, x + (3.5 + shift_x)[:, None, None] + 1
    y, x = np.clip(y, 0, 8.999), np.clip(x, 0, 8.999)
    top, left = y.astype(int), x.astype(int)
    down, right = y - top, x - left
    framed, which = np.pad(images[..., 0], ((0, 0), (1, 1), (1, 1))), np.arange(n)[:, None, None]
    turned = (
        framed[which, top, left] * (1 - down) * (1 - right)
        + framed[which, top, left + 1] * (1 - down) * right
        + framed[which, top + 1, left] * down * (1 - right)
        + framed[which, top + 1, left + 1] * down * right
    )
    noisy = turned + random.normal(0, 0.03, turned.shape)
    return np.clip(noisy, 0, 1).astype(np.float32)[..., np.newaxis]


def train(images: Floats, labels: Labels, epochs: int = EPOCHS, seed: int = SEED) -> tf.keras.Model:
    random = np.random.default_rng(seed)
    model = network()
    steps = epochs * (len(images) // BATCH)
    model.compile(
        tf.keras.optimizers.AdamW(tf.keras.optimizers.schedules.CosineDecay(4e-3, steps), weight_decay=1e-3),
        tf.keras.losses.CategoricalCrossentropy(label_smoothing=0.05),
    )
    targets = np.eye(10, dtype=np.float32)[labels]
    for _ in range(steps):
        batch = random.choice(len(images), BATCH, replace=False)
        model.train_on_batch(augment(images[batch], random), targets[batch])
    return model


def quantized(network_: tf.keras.Model, images: Floats) -> bytes:
    module = tf.Module()
    module.network = network_

    @tf.function(input_signature=[tf.TensorSpec([1, 8, 8, 1], tf.float32, name="image")])
    def classify(image: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"probabilities": network_(image, training=False)}

    module.classify = classify
    return quantize(module, classify, images)


def make_v2() -> None:
    make_deterministic(SEED_V2)
    images, labels = load()
    train_images, train_labels = images[:FIRST_TEST_IMAGE], labels[:FIRST_TEST_IMAGE]
    model = quantized(train(train_images, train_labels, EPOCHS_V2, SEED_V2), train_images)
    reference = Reference(model)
    outputs = reference.run(reference.input.quantize(images[FIRST_TEST_IMAGE:]))
    folder = Path(__file__).parent / "v2"
    folder.mkdir(exist_ok=True)
    (folder / "digits.tflite").write_bytes(model)
    np.savez_compressed(folder / "outputs.npz", outputs=outputs)
    print(f"v2: {int((outputs.argmax(1) == labels[FIRST_TEST_IMAGE:]).sum())} of {len(outputs)} right")


def main() -> None:
    make_deterministic(SEED)
    images, labels = load()
    train_images, train_labels = images[:FIRST_TEST_IMAGE], labels[:FIRST_TEST_IMAGE]
    test_images, test_labels = images[FIRST_TEST_IMAGE:], labels[FIRST_TEST_IMAGE:]
    network_ = train(train_images, train_labels)
    float_correct = int((network_(test_images, training=False).numpy().argmax(1) == test_labels).sum())
    model = quantized(network_, train_images)
    reference = Reference(model)
    inputs = reference.input.quantize(test_images)
    outputs = reference.run(inputs)
    accuracy = accuracy_table(float_correct, int((outputs.argmax(1) == test_labels).sum()), len(test_labels))
    card = {
        "title": "Handwritten digits",
        "task": "image classification",
        "classes": [str(digit) for digit in range(10)],
        "decision": "argmax of each output",
        "input": port_table(reference.input, "8x8 grey image of one digit, row by row; 0.0 is paper, 1.0 is ink"),
        "output": port_table(reference.output, "probability of each class"),
        "data": {
            "name": "Optical Recognition of Handwritten Digits, the part that scikit-learn ships",
            "package": "scikit-learn==1.9.1, sklearn.datasets.load_digits",
            "source": "https://archive.ics.uci.edu/dataset/80/optical+recognition+of+handwritten+digits",
            "licence": "CC BY 4.0",
            "citation": "E. Alpaydin, C. Kaynak: Optical Recognition of Handwritten Digits. UCI Machine Learning "
            "Repository, 1998. https://doi.org/10.24432/C50P49",
            "changes": "values divided by 16 and quantized to int8",
            "split": f"images 0 to {FIRST_TEST_IMAGE - 1} train, {FIRST_TEST_IMAGE} to {len(images) - 1} test: "
            "whole sheets, so that no sheet of handwriting is in both",
        },
        "accuracy": accuracy,
        "cost": cost_table(model),
        "training": {
            "script": "models/digits/train.py",
            "method": f"Keras, {EPOCHS} epochs of AdamW with augmentation, then full-integer post-training "
            "quantization",
            "seed": SEED,
        },
    }
    test = {"inputs": inputs, "labels": test_labels.astype(np.uint8), "outputs": outputs}
    write_folder(Path(__file__).parent, model, test, card, "models/digits/train.py")
    print(f"float {accuracy['float']:.4f}, int8 {accuracy['int8']:.4f} of {accuracy['n']}, {len(model)} bytes")


if __name__ == "__main__":
    if sys.argv[1:] == ["v2"]:
        make_v2()
    else:
        main()
