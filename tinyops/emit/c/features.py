"""The front end of a model in C: NAME_features.h and .c, and the fixed sources of its kind beside them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

import tinyops.features
from tinyops.features import ModelFeatures

_SOURCES = Path(tinyops.features.__file__).resolve().parent / "c"


def feature_files(features: ModelFeatures) -> Mapping[str, str]:
    """File name -> text of the fixed sources that the front end is made of."""
    return {name: (_SOURCES / name).read_text(encoding="utf-8") for name in features.front_end.c_config().files}


def feature_sources(features: ModelFeatures, name: str) -> list[str]:
    """The C files of the front end of model `name`."""
    return [f"{name}_features.c", *(file for file in feature_files(features) if file.endswith(".c"))]


def feature_context(features: ModelFeatures) -> dict[str, Any]:
    """What the templates features.h.j2, features.c.j2 and binding.c.j2 know as `f`."""
    front_end = features.front_end
    length = int(np.prod(front_end.raw_shape))
    return {
        "config": front_end.c_config(),
        "constant_bytes": features.constant_bytes,
        "every": features.every,
        "first_steps": features.first_steps,
        "frame_ctype": dtype_ctype(front_end.frame_dtype),
        "frame_length": int(np.prod(front_end.frame_shape)),
        "frames": features.frames,
        "kind": features.kind,
        "next_steps": features.next_steps,
        "overlap": features.overlap,
        "quantization": features.quantization,
        "ram_bytes": features.ram_bytes,
        "raw_ctype": dtype_ctype(front_end.raw_dtype),
        "raw_dtype": front_end.raw_dtype,
        "raw_shape": front_end.raw_shape,
        "step_bytes": length * front_end.raw_dtype.itemsize,
        "step_length": length,
        "stored_ctype": dtype_ctype(features.tensor.dtype.numpy),
    }


def dtype_ctype(dtype: np.dtype[Any] | str) -> str:
    """`uint16_t` for uint16."""
    found = np.dtype(dtype)
    return "float" if found == np.float32 else f"{found}_t"
