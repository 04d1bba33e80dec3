"""Train the speakers model: a stream of speech frames -> which of nine speakers, quantized to int8, with state.

Each invocation takes one frame of 12 LPC cepstrum coefficients. The convolutions over time keep the frames before it in
resource variables, so a frame is computed once. The model is trained on whole streams and exported frame by frame with
the same weights.

Run from the repository's root: `python -m models.speakers.train` (packages: models/requirements-train.txt).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
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
STEPS = 1200
STREAMS = 16
SPEAKERS, COEFFICIENTS = 9, 12
CHANNELS, EMBEDDING = 32, 48
SHORT, LONG = 12, 20  # channels of the two depthwise branches
SHORT_TAPS, LONG_TAPS, FIRST_TAPS, POOLED = 3, 5, 3, 4
CONTEXT = FIRST_TAPS - 1 + LONG_TAPS - 1 + POOLED - 1  # frames before the present one that an output depends on


def load(split: str) -> tuple[list[Floats], Labels]:
    """Utterances [7 to 29 frames, 12] and speakers 0..8; `split` TRAIN or TEST."""
    utterances, names = read_split("JapaneseVowels", split)
    return utterances, np.array([int(name) - 1 for name in names], np.int64)


class Streaming(tf.Module):
    """The network over whole streams, for training."""

    def __init__(self) -> None:
        super().__init__()
        initial = tf.keras.initializers.HeNormal(seed=SEED)

        def weight(*shape: int) -> tf.Variable:
            return tf.Variable(initial(shape), trainable=True)

        def bias(size: int) -> tf.Variable:
            return tf.Variable(tf.zeros(size), trainable=True)

        self.first, self.first_bias = weight(FIRST_TAPS, 1, COEFFICIENTS, CHANNELS), bias(CHANNELS)
        self.short, self.short_bias = weight(SHORT_TAPS, 1, SHORT, 1), bias(SHORT)
        self.long, self.long_bias = weight(LONG_TAPS, 1, LONG, 1), bias(LONG)
        self.mix, self.mix_bias = weight(1, 1, CHANNELS, EMBEDDING), bias(EMBEDDING)
        self.dense, self.dense_bias = weight(EMBEDDING, SPEAKERS), bias(SPEAKERS)

    def whole(self, frames: tf.Tensor, keep: float = 1.0) -> tf.Tensor:
        """Logits [streams, time, 9] of frames [streams, CONTEXT + time, 12], standardized."""
        x = conv(frames[:, :, tf.newaxis], self.first, self.first_bias)
        short, long = tf.split(tf.nn.relu(x), [SHORT, LONG], 3)
        short = depthwise(short, self.short, self.short_bias)[:, LONG_TAPS - SHORT_TAPS :]
        long = depthwise(long, self.long, self.long_bias)
        x = tf.nn.relu(conv(tf.concat([short, long], 3), self.mix, self.mix_bias))
        x = tf.nn.avg_pool2d(x, (POOLED, 1), 1, "VALID")[:, :, 0]
        if keep < 1.0:
            x = tf.nn.experimental.stateless_dropout(x, 1 - keep, seed=tf.random.uniform([2], 0, 1 << 30, tf.int32))
        return x @ self.dense + self.dense_bias


def conv(x: tf.Tensor, kernel: tf.Tensor, bias: tf.Tensor) -> tf.Tensor:
    return tf.nn.conv2d(x, kernel, 1, "VALID") + bias


def depthwise(x: tf.Tensor, kernel: tf.Tensor, bias: tf.Tensor) -> tf.Tensor:
    return tf.nn.depthwise_conv2d(x, kernel, [1, 1, 1, 1], "VALID") + bias


class Frame(tf.Module):
    """The trained network for one frame at a time: weights are constants, the variables are its state."""

    def __init__(self, network: Streaming) -> None:
        super().__init__()
        self.weights = {name: value.numpy() for name, value in vars(network).items() if isinstance(value, tf.Variable)}
        self.frames = state(FIRST_TAPS - 1, COEFFICIENTS)
        self.shorts = state(SHORT_TAPS - 1, SHORT)
        self.longs = state(LONG_TAPS - 1, LONG)
        self.embeddings = state(POOLED - 1, EMBEDDING)

    @tf.function(input_signature=[tf.TensorSpec([1, COEFFICIENTS], tf.float32, name="frame")])
    def step(self, frame: tf.Tensor) -> dict[str, tf.Tensor]:
        """Probabilities [1, 9] after one standardized frame [1, 12]."""
        w = self.weights
        x = push(self.frames, tf.reshape(frame, [1, 1, 1, COEFFICIENTS]))
        short, long = tf.split(tf.nn.relu(conv(x, w["first"], w["first_bias"])), [SHORT, LONG], 3)
        short = depthwise(push(self.shorts, short), w["short"], w["short_bias"])
        long = depthwise(push(self.longs, long), w["long"], w["long_bias"])
        x = tf.nn.relu(conv(tf.concat([short, long], 3), w["mix"], w["mix_bias"]))
        x = tf.nn.avg_pool2d(push(self.embeddings, x), (POOLED, 1), 1, "VALID")
        logits = tf.reshape(x, [1, EMBEDDING]) @ w["dense"] + w["dense_bias"]
        return {"probabilities": tf.nn.softmax(logits)}


def state(length: int, channels: int) -> tf.Variable:
    return tf.Variable(tf.zeros([1, length, 1, channels]), trainable=False)


def push(variable: tf.Variable, newest: tf.Tensor) -> tf.Tensor:
    """The kept frames with the newest one; the oldest is dropped from what is kept."""
    window = tf.concat([variable.read_value(), newest], 1)
    variable.assign(window[:, 1:])
    return window


def stream(
    utterances: list[Floats], speakers: Labels, random: np.random.Generator
) -> tuple[Floats, Labels, npt.NDArray[np.int32]]:
    """The utterances in random order one after the other: frames [n, 12], speakers in order, and where each starts."""
    order = random.permutation(len(utterances))
    chosen = [utterances[index] for index in order]
    starts = np.cumsum([0] + [len(utterance) for utterance in chosen]).astype(np.int32)
    return np.concatenate(chosen), speakers[order], starts


def train(network: Streaming, utterances: list[Floats], speakers: Labels) -> None:
    """Minimize the cross entropy of every frame, on streams of all utterances, newly shuffled and varied each step."""
    random = np.random.default_rng(SEED)
    variables = network.trainable_variables
    optimizer = tf.keras.optimizers.AdamW(tf.keras.optimizers.schedules.CosineDecay(4e-3, STEPS), weight_decay=3e-3)

    @tf.function(reduce_retracing=True)
    def update(frames: tf.Tensor, targets: tf.Tensor) -> None:
        with tf.GradientTape() as tape:
            losses = tf.nn.softmax_cross_entropy_with_logits(targets, network.whole(frames, keep=0.8))
            loss = tf.reduce_mean(losses)
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))

    length = sum(map(len, utterances)) // STREAMS
    smooth = np.eye(SPEAKERS, dtype=np.float32) * 0.9 + 0.1 / SPEAKERS
    for _ in range(STEPS):
        voiced = [
            utterance * random.normal(1, 0.06, COEFFICIENTS) + random.normal(0, 0.2, COEFFICIENTS)
            for utterance in utterances
        ]
        frames, order, starts = stream(voiced, speakers, random)
        frames = np.pad(frames + random.normal(0, 0.25, frames.shape), ((CONTEXT, 0), (0, 0))).astype(np.float32)
        targets = smooth[np.repeat(order, np.diff(starts))]
        cuts = [length * index for index in range(STREAMS)]
        update(
            np.stack([frames[cut : cut + length + CONTEXT] for cut in cuts]),
            np.stack([targets[cut : cut + length] for cut in cuts]),
        )


def correct(scores: npt.NDArray[np.float64], speakers: Labels, starts: npt.NDArray[np.int32]) -> int:
    """Utterances whose speaker has the largest sum of scores [frames, 9] over their frames."""
    return int((np.add.reduceat(scores, starts[:-1], axis=0).argmax(1) == speakers).sum())


def main() -> None:
    make_deterministic(SEED)
    train_utterances, train_speakers = load("TRAIN")
    everything = np.concatenate(train_utterances)
    mean, deviation = everything.mean(0), everything.std(0)

    def standardized(utterances: list[Floats]) -> list[Floats]:
        return [(utterance - mean) / deviation for utterance in utterances]

    network = Streaming()
    train(network, standardized(train_utterances), train_speakers)

    test_utterances, test_speakers = load("TEST")
    frames, speakers, starts = stream(standardized(test_utterances), test_speakers, np.random.default_rng(SEED))
    padded = np.pad(frames, ((CONTEXT, 0), (0, 0)))[np.newaxis]
    floats = tf.nn.softmax(network.whole(padded))[0].numpy().astype(np.float64)

    frame = Frame(network)
    calibration, _, _ = stream(standardized(train_utterances), train_speakers, np.random.default_rng(SEED))
    model = quantize(frame, frame.step, calibration, streaming=True)
    reference = Reference(model)
    inputs = reference.input.quantize(frames)
    outputs = reference.run(inputs)
    int8_correct = correct(outputs.astype(np.float64) + 128, speakers, starts)
    accuracy = accuracy_table(correct(floats, speakers, starts), int8_correct, len(speakers))
    card = {
        "title": "Speaker from a stream of speech frames",
        "task": "streaming classification with state",
        "classes": [f"speaker {number}" for number in range(1, SPEAKERS + 1)],
        "decision": "argmax of the sum of outputs over the frames of an utterance; "
        "utterances follow each other without a reset",
        "input": port_table(
            reference.input,
            "one frame (25.6 ms, a new one each 6.4 ms) of 12 LPC cepstrum coefficients c, "
            "each as (c - mean) / deviation",
        )
        | {"mean": [round(float(value), 6) for value in mean], "deviation": [round(float(v), 6) for v in deviation]},
        "output": port_table(reference.output, "probability of each speaker now"),
        "data": {
            "name": "Japanese Vowels: nine men say /ae/",
            "package": f"aeon=={AEON_VERSION}, aeon/datasets/data/JapaneseVowels",
            "source": "https://archive.ics.uci.edu/dataset/128/japanese+vowels",
            "licence": "CC BY 4.0",
            "citation": "M. Kudo, J. Toyama, M. Shimbo: Multidimensional Curve Classification Using Passing-Through "
            "Regions. Pattern Recognition Letters 20 (11-13), 1999. Data: https://doi.org/10.24432/C5NS47",
            "changes": "standardized with the training set's mean and deviation, quantized to int8",
            "split": "the donors' own: 270 utterances train, 370 test, the same speakers at other times; "
            "the test utterances are put in a random order with a fixed seed",
        },
        "accuracy": accuracy,
        "cost": cost_table(model),
        "training": {
            "script": "models/speakers/train.py",
            "method": f"TensorFlow, {STEPS} steps of AdamW on shuffled streams with augmentation, exported as a "
            "one-frame step with resource variables, then full-integer post-training quantization",
            "seed": SEED,
        },
    }
    test = {"inputs": inputs, "labels": speakers.astype(np.uint8), "starts": starts, "outputs": outputs}
    write_folder(Path(__file__).parent, model, test, card, "models/speakers/train.py")
    print(f"float {accuracy['float']:.4f}, int8 {accuracy['int8']:.4f} of {accuracy['n']}, {len(model)} bytes")


if __name__ == "__main__":
    main()
