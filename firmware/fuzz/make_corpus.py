"""Write the seed corpus of fuzz_device.c: valid exchanges, and each rule of the parser once."""

from __future__ import annotations

import struct
from pathlib import Path

INFO, INFER, RESET, PROFILE = b"\xb4info", b"\xb5infer", b"\xb5reset", b"\xb7profile"


def message(code: int, mid: int, rest: bytes, kind: int = 0) -> bytes:
    return bytes([0x41 | kind << 4, code]) + mid.to_bytes(2, "big") + b"t" + rest


def framed(*messages: bytes) -> bytes:
    return b"\x01" + b"".join(len(m).to_bytes(2, "big") + m for m in messages)


def main() -> None:
    raw = bytes(3010)
    inputs = bytes(1500) + struct.pack("<ii", 1, 1)
    first = message(2, 1, INFER + b"\xd1\x03\x0e\xff" + inputs[:1024])  # Block1 0, more, 1024
    last = message(2, 2, INFER + b"\xd1\x03\x16\xff" + inputs[1024:])  # Block1 1, last
    seeds = {
        "info": framed(message(1, 1, INFO), message(1, 2, INFO + b"\xc1\x10")),
        "info_small_blocks": framed(*(message(1, n, INFO + bytes([0xC1, n << 4])) for n in range(4))),
        "infer": framed(first, last, last, b"\x60\x00\x00\x00", message(2, 3, INFER + b"\xc1\x16")),
        "infer_reset": framed(
            *(part.replace(INFER + b"\xd1\x03", INFER + b"\x47reset=1\xc1") for part in (first, last))
        ),
        "raw": framed(
            *(
                message(2, 9 + n, INFER + b"\x45raw=1\xc1" + bytes([n << 4 | (n < 2) << 3 | 6]) + b"\xff" + part)
                for n, part in enumerate((raw[:1024], raw[1024:2048], raw[2048:]))
            ),
            message(1, 20, PROFILE),
            message(2, 21, INFER + b"\x47reset=1\x05raw=1\xc1\x0e\xff" + raw[:1024]),
            message(2, 22, INFER + b"\x45raw=1\xc1\x0e\xff" + raw[:1024]),
        ),
        "profile": framed(message(1, 1, PROFILE), message(2, 2, RESET), message(2, 3, INFER + b"\x49profile=1\xff1")),
        "ping": framed(b"\x40\x00\x12\x34", first, last, b"\x40\x00\x12\x35"),
        "bad_options": framed(
            message(1, 1, b"\x11x" + INFO), message(1, 2, INFO + b"\xd1\xf3x"), message(1, 3, b"\xf1")
        ),
        "line": b"\x00boot\xc0\x0atext\xc0\xc0\xa9\xdb\xdc\xdb\xdd\xc0\xa9\xdb\x00\xc0",
    }
    folder = Path(__file__).parent / "corpus"
    folder.mkdir(exist_ok=True)
    for name, data in seeds.items():
        (folder / name).write_bytes(data)


if __name__ == "__main__":
    main()
