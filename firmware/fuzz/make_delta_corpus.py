"""Write the seed corpus of fuzz_delta.c: deltas of every kind for its base."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tinyops.update.delta import encode_delta

BASE = bytes(i * 37 & 255 for i in range(300))


def main() -> None:
    chance = np.random.default_rng(1)
    small = bytes((b + int(chance.choice((0, 1, -1, 2)))) & 255 for b in BASE)
    words = bytes((b + (int(chance.integers(256)) if i % 4 == 0 else 0)) & 255 for i, b in enumerate(BASE))
    results = {
        "same": BASE,
        "small": small,
        "words": words,
        "last_layer": BASE[:250] + chance.bytes(50),
        "longer": BASE + chance.bytes(100) + bytes(1000),
        "shorter": BASE[:7],
        "opposite": bytes(b ^ 128 for b in BASE),
        "unrelated": chance.bytes(300),
    }
    folder = Path(__file__).parent / "corpus_delta"
    folder.mkdir(exist_ok=True)
    for number, (name, new) in enumerate(results.items()):
        (folder / name).write_bytes(bytes([1 | number * 14 << 1 & 255]) + encode_delta(BASE, new))


if __name__ == "__main__":
    main()
