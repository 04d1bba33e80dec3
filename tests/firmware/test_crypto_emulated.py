"""The device's cryptography as devices run it: in the emulator, with the libraries' assembly for the processor."""

from __future__ import annotations

import hashlib
import random
import subprocess
from pathlib import Path

import pyhsslms
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESCCM, AESGCM
from cryptography.hazmat.primitives.keywrap import aes_key_wrap

from tests.support.receiver import FIRMWARE, TESTS, Request, libraries, read_answers, receiver_sources, request_line
from tests.support.semihosted import CORTEX_M0, CORTEX_M4, RISCV32, Target
from tinyops.device.crypto import ALGORITHMS
from tinyops.suit.reasons import Reason


def flipped(data: bytes, bit: int) -> bytes:
    return data[: bit // 8] + bytes([data[bit // 8] ^ 1 << bit % 8]) + data[bit // 8 + 1 :]


def signatures(rng: random.Random) -> list[tuple[Request, Reason, bytes]]:
    cases: list[tuple[Request, Reason, bytes]] = []
    text = rng.randbytes(150)
    edwards = Ed25519PrivateKey.from_private_bytes(rng.randbytes(32))
    point = edwards.public_key().public_bytes_raw()
    weierstrass = ec.derive_private_key(rng.getrandbits(255), ec.SECP256R1())
    numbers = weierstrass.public_key().public_numbers()
    pair = numbers.x.to_bytes(32, "big") + numbers.y.to_bytes(32, "big")
    other = ec.derive_private_key(rng.getrandbits(255), ec.SECP256R1())
    r, s = decode_dss_signature(weierstrass.sign(text, ec.ECDSA(hashes.SHA256())))
    hss = pyhsslms.HssPrivateKey(levels=2, lms_type=pyhsslms.lms_sha256_m32_h5, lmots_type=pyhsslms.lmots_sha256_n32_w4)
    for name, key, signature in (
        ("ed25519", point, edwards.sign(text)),
        ("es256", pair, r.to_bytes(32, "big") + s.to_bytes(32, "big")),
        ("hsslms", hss.publicKey().serialize(), hss.sign(text)),
    ):
        cases.append(((name, key, signature, text), Reason.OK, b""))
        cases.append(((name, key, flipped(signature, 100), text), Reason.BAD_SIGNATURE, b""))
        cases.append(((name, key, signature, flipped(text, 1199)), Reason.BAD_SIGNATURE, b""))
    secret = other.exchange(ec.ECDH(), weierstrass.public_key())
    scalar = other.private_numbers().private_value.to_bytes(32, "big")
    cases.append((("ecdh", scalar, pair), Reason.OK, secret))
    cases.append((("ecdh", scalar, flipped(pair, 500)), Reason.DECRYPT, b""))
    return cases


def ciphers(rng: random.Random) -> list[tuple[Request, Reason, bytes]]:
    key, text, iv, extra = rng.randbytes(16), rng.randbytes(77), rng.randbytes(12), rng.randbytes(21)
    stream = Cipher(algorithms.AES(key), modes.CTR(iv * 1 + b"\xff" * 4)).encryptor().update(text)
    sealed = AESGCM(key).encrypt(iv, text, extra)
    ccm = AESCCM(key, 8).encrypt(iv + b"n", text, extra)
    return [
        (("sha256", text), Reason.OK, hashlib.sha256(text).digest()),
        (("kw", key, aes_key_wrap(key, key)), Reason.OK, key),
        (("ctr", key, iv + b"\xff" * 4, stream), Reason.OK, text),
        (("gcm", key, iv, extra, sealed[:-16], sealed[-16:]), Reason.OK, text),
        (("gcm", key, iv, extra, flipped(sealed[:-16], 8), sealed[-16:]), Reason.DECRYPT, b""),
        (("ccm_encrypt", key, iv + b"n", extra, text, 8), Reason.OK, ccm),
        (("ccm_decrypt", key, iv + b"n", extra, ccm, 8), Reason.OK, text),
    ]


@pytest.mark.parametrize("target", [CORTEX_M4, CORTEX_M0, RISCV32], ids=lambda target: target.name)
def test_in_the_emulator(target: Target, tmp_path: Path) -> None:
    target.require()
    rng = random.Random(12)
    cases = [*signatures(rng), *ciphers(rng)]
    lines = [f'"{request_line(request)}",' for request, _, _ in cases]
    (tmp_path / "requests.inc").write_text("\n".join(lines) + "\n")
    crypto = libraries(ALGORITHMS)
    include = [f"-I{path}" for path in (FIRMWARE / "common" / "include", *crypto.include_dirs, tmp_path)]
    sources = [str(path) for path in (TESTS / "crypto_check.c", *receiver_sources(), *crypto.sources)]
    flags = ["-std=gnu99", "-Os", "-w", "-DREQUESTS", *target.flags, *crypto.cflags]
    program = tmp_path / "program.elf"
    command = [target.compiler, *flags, *include, *sources, *target.link_flags(tmp_path), "-o", str(program)]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    result = target.run(program)
    assert result.returncode == 0, result.stdout + result.stderr
    answers = read_answers(result.stdout + result.stderr)  # where semihosting writes depends on the machine
    assert answers == [(reason, out) for _, reason, out in cases]
