"""Train a small float digits model in PyTorch and export it, to try `tinyops quantize` on: .onnx and .tflite.

Run from the repository's root: `python -m models.digits.float.train`
(packages: torch==2.15.0 for CPU, onnx==1.23.2, scikit-learn==1.9.1, and tinyops for the .tflite file).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn

from tinyops.load import load_model
from tinyops.passes import run_passes
from tinyops.save import write_tflite

SEED = 7
EPOCHS = 40
BATCH = 32
#: The last three sheets of handwriting are the test set, as for the int8 model (models/digits/train.py).
FIRST_TEST_IMAGE = 1415
CALIBRATION = 400
FOLDER = Path(__file__).parent


def convolution(inputs: int, outputs: int, size: int, groups: int = 1, relu: bool = True) -> nn.Sequential:
    """With batch normalization."""
    layers: list[nn.Module] = [
        nn.Conv2d(inputs, outputs, size, padding=size // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
    ]
    return nn.Sequential(*layers, *([nn.ReLU()] if relu else []))


class Digits(nn.Module):
    """[n, 1, 8, 8] with values 0..1 -> logits [n, 10]: a residual block and a depthwise-separable one."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = convolution(1, 24, 3)
        self.block = nn.Sequential(convolution(24, 24, 3, groups=24), convolution(24, 24, 1, relu=False))
        self.separable = nn.Sequential(convolution(24, 24, 3, groups=24), convolution(24, 48, 1))
        self.pool, self.relu, self.dense = nn.MaxPool2d(2), nn.ReLU(), nn.Linear(48, 10)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x = self.stem(image)
        x = self.separable(self.pool(self.relu(x + self.block(x))))
        return self.dense(x.mean((2, 3)))  # type: ignore[no-any-return]


def load() -> tuple[np.ndarray, np.ndarray]:
    """Images float32[1797, 1, 8, 8] with values 0..1, and their digits int64."""
    digits = load_digits()
    return (digits.images[:, None] / 16).astype(np.float32), digits.target.astype(np.int64)


def train(seed: int, epochs: int = EPOCHS) -> Digits:
    """On the training sheets, single-threaded, so that it comes out the same each time."""
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    rng = np.random.default_rng(seed)
    images, labels = load()
    x, y = torch.tensor(images[:FIRST_TEST_IMAGE]), torch.tensor(labels[:FIRST_TEST_IMAGE])
    model = Digits()
    optimizer = torch.optim.AdamW(model.parameters(), 3e-3, weight_decay=0.02)
    steps = epochs * -(-FIRST_TEST_IMAGE // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-2, total_steps=steps)
    for _ in range(epochs):
        order = rng.permutation(FIRST_TEST_IMAGE)
        for start in range(0, FIRST_TEST_IMAGE, BATCH):
            batch = torch.tensor(order[start : start + BATCH])
            shift = rng.integers(-1, 2, 2)
            shifted = torch.roll(x[batch], tuple(int(s) for s in shift), (2, 3)) if rng.random() < 0.3 else x[batch]
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(shifted), y[batch], label_smoothing=0.05).backward()
            optimizer.step()
            schedule.step()
    return model.eval()


def export(model: Digits, path: Path) -> None:
    """As ONNX, batch 1."""
    names = {"input_names": ["image"], "output_names": ["logits"]}
    torch.onnx.export(model, (torch.zeros(1, 1, 8, 8),), path, dynamo=False, opset_version=17, **names)


def main() -> None:
    model = train(SEED)
    images, labels = load()
    with torch.no_grad():
        right = int(
            (model(torch.tensor(images[FIRST_TEST_IMAGE:])).argmax(1).numpy() == labels[FIRST_TEST_IMAGE:]).sum()
        )
    export(model, FOLDER / "digits.onnx")
    (FOLDER / "digits.tflite").write_bytes(write_tflite(run_passes(load_model(FOLDER / "digits.onnx"))))
    chosen = np.sort(np.random.default_rng(SEED).choice(FIRST_TEST_IMAGE, CALIBRATION, replace=False))
    for name, index in (("calibration", chosen), ("test", np.arange(FIRST_TEST_IMAGE, len(images)))):
        np.savez_compressed(FOLDER / f"{name}.npz", image=images[index], labels=labels[index].astype(np.uint8))
    print(f"{right} of {len(images) - FIRST_TEST_IMAGE} test images right, seed {SEED}")


if __name__ == "__main__":
    main()
