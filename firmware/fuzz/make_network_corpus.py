"""Write the seed corpus of fuzz_network.c: transfers that succeed, and answers of every kind."""

from __future__ import annotations

from pathlib import Path

LATER, ANSWER, PROTECT, REQUEST, ELSEWHERE, CONFIRMABLE = 1, 2, 4, 8, 16, 32


def answer(code: int, options: bytes, payload: bytes = b"") -> bytes:
    """A response; the fuzz target puts the id and the token of the last request in."""
    return bytes([0x68, code]) + bytes(10) + options + (b"\xff" + payload if payload else b"")


def block(number: int, more: bool, szx: int = 6, size: int = 1024, etag: bytes = b"e") -> bytes:
    value = number << 4 | more << 3 | szx
    encoded = value.to_bytes(max(1, (value.bit_length() + 7) // 8), "big") if value else b""
    options = b"\x41" + etag + bytes([0xD0 | len(encoded), 23 - 4 - 13]) + encoded
    return answer(0x45, options, bytes(size))


def seed(uri: bytes, *messages: tuple[int, bytes]) -> bytes:
    framed = (bytes([flags]) + len(data).to_bytes(2, "big") + data for flags, data in messages)
    return bytes([len(uri)]) + uri + b"".join(framed)


def main() -> None:
    plain, protected, post = b"coap://h/ab?c=1&d", b"coap://[::1]:5/a%20", b"coap://10.0.0.1/ab"
    plain, protected = plain[: len(plain) & ~1], protected[: len(protected) | 1]
    transfer = [(ANSWER, block(n, n < 3)) for n in range(4)]
    seeds = {
        "transfer": seed(b"", *transfer),
        "protected": seed(b"coap://h/", *((ANSWER | PROTECT, block(n, n < 3)) for n in range(4))),
        "separate": seed(
            b"",
            (0, b"\x60\x00\x00\x00"),
            *((ANSWER | CONFIRMABLE, block(n, n < 3)) for n in range(2)),
            (LATER, b"\x70\x00\x00\x00"),
        ),
        "small": seed(plain, *((ANSWER, block(n, True, 0, 16)) for n in range(40))),
        "post": seed(post, (ANSWER, answer(0x44, b"", b"\xa1\x02\x18\x3c"))),
        "echo": seed(
            b"coap://h/", (ANSWER | PROTECT, answer(0x81, b"\xd1\xef\x01")), (ANSWER | PROTECT, block(0, False))
        ),
        "error": seed(protected, (ANSWER | PROTECT, answer(0x84, b"", b"no")), (ANSWER, answer(0xA3, b""))),
        "etag": seed(b"", (ANSWER, block(0, True)), (ANSWER, block(1, True, etag=b"f"))),
        "elsewhere": seed(b"", (ANSWER | ELSEWHERE, block(0, True)), (LATER, b""), (LATER, b""), (LATER, b"")),
        "requests": seed(
            b"",
            (REQUEST, bytes.fromhex("44020001000039749309140101ff612f1092f1776f1c1668b3825e")),
            (REQUEST, bytes.fromhex("40020001960914" + "0201010100ff" + "00" * 20)),
        ),
        "uri": seed(b"/a//b/?x&&y", (ANSWER, block(0, False, 6, 100))),
    }
    folder = Path(__file__).parent / "corpus_network"
    folder.mkdir(exist_ok=True)
    for name, data in seeds.items():
        (folder / name).write_bytes(data)


if __name__ == "__main__":
    main()
