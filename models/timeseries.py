"""Reader of the .ts files in aeon's wheel, without importing aeon (it would bring numba and more)."""

from __future__ import annotations

from importlib.metadata import distribution
from pathlib import Path

import numpy as np
import numpy.typing as npt

AEON_VERSION = "1.6.0"


def read_split(name: str, split: str) -> tuple[list[npt.NDArray[np.float32]], list[str]]:
    """Recordings [time, channels] and class names of aeon's data set `name`, `split` TRAIN or TEST, in file order."""
    package = distribution("aeon")
    if package.version != AEON_VERSION:
        raise SystemExit(f"aeon {package.version} is installed; the split is defined by the files of {AEON_VERSION}")
    path = Path(str(package.locate_file(f"aeon/datasets/data/{name}/{name}_{split}.ts")))
    recordings, classes = [], []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.strip() or line[0] in "#@":  # comment, header
            continue
        *channels, label = line.strip().split(":")
        recordings.append(np.array([channel.split(",") for channel in channels], dtype=np.float32).T)
        classes.append(label)
    return recordings, classes
