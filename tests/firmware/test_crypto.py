"""The device's cryptography against libraries and published vectors, under AddressSanitizer and UBSan."""

from __future__ import annotations

import hashlib
import hmac
import random

import pyhsslms
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESCCM, AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.keywrap import aes_key_wrap

from tests.support.receiver import ask
from tinyops.suit.reasons import Reason

OK, BAD, DECRYPT = Reason.OK, Reason.BAD_SIGNATURE, Reason.DECRYPT
SIZES = (0, 1, 31, 32, 55, 56, 63, 64, 65, 111, 112, 119, 120, 127, 128, 129, 1000)

L = 2**252 + 27742317777372353535851937790883648493  # order of Ed25519's group
P = 2**255 - 19
N256 = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
P256 = 2**256 - 2**224 + 2**192 + 2**96 - 1


def reasons(*requests: tuple[str | bytes | int, ...]) -> list[Reason]:
    return [reason for reason, _ in ask(*requests)]


def outputs(*requests: tuple[str | bytes | int, ...]) -> list[bytes]:
    answers = ask(*requests)
    assert all(reason == OK for reason, _ in answers)
    return [out for _, out in answers]


def test_sha256_hmac_hkdf() -> None:
    rng = random.Random(1)
    texts = [rng.randbytes(size) for size in SIZES]
    keys = [rng.randbytes(size) for size in reversed(SIZES)]
    assert outputs(*(("sha256", text) for text in texts)) == [hashlib.sha256(text).digest() for text in texts]
    macs = [hmac.digest(key, text, "sha256") for key, text in zip(keys, texts, strict=True)]
    assert outputs(*(("hmac", key, text) for key, text in zip(keys, texts, strict=True))) == macs
    for size in (1, 16, 32, 33, 64, 100):
        expected = HKDF(hashes.SHA256(), size, b"salt", b"info").derive(b"secret")
        assert outputs(("hkdf", b"salt", b"secret", b"info", size)) == [expected]
    # RFC 5869, A.3: neither salt nor info.
    expected = bytes.fromhex("8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8")
    assert outputs(("hkdf", b"", b"\x0b" * 22, b"", 42)) == [expected]


# RFC 8032, 7.1: secret key, public key, message, signature of TEST 1, 2, 3 and TEST SHA(abc).
RFC8032 = [
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        (
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b"
            "d25bf5f0595bbe24655141438e7a100b"
        ),
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        (
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c"
            "387b2eaeb4302aeeb00d291612bb0c00"
        ),
    ),
    (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        (
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc659"
            "4a7c15e9716ed28dc027beceea1ec40a"
        ),
    ),
    (
        "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
        "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
        hashlib.sha512(b"abc").hexdigest(),
        (
            "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c66431e030"
            "3dca179c138ac17ad9bef1177331a704"
        ),
    ),
]


def test_ed25519_vectors() -> None:
    requests = []
    for secret, public, message, signature in RFC8032:
        key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(secret))
        assert key.sign(bytes.fromhex(message)).hex() == signature
        requests.append(("ed25519", bytes.fromhex(public), bytes.fromhex(signature), bytes.fromhex(message)))
    assert reasons(*requests) == [OK] * len(requests)


def test_ed25519_sizes_and_bit_flips() -> None:
    rng = random.Random(2)
    key = Ed25519PrivateKey.from_private_bytes(rng.randbytes(32))
    public = key.public_key().public_bytes_raw()
    texts = [rng.randbytes(size) for size in SIZES]
    assert set(reasons(*(("ed25519", public, key.sign(text), text) for text in texts))) == {OK}
    text, signature = texts[7], key.sign(texts[7])
    flips = []
    for bit in range(512):
        wrong = bytearray(signature)
        wrong[bit // 8] ^= 1 << bit % 8
        flips.append(("ed25519", public, bytes(wrong), text))
    assert set(reasons(*flips)) == {BAD}
    assert reasons(("ed25519", public, signature, text + b"\0"), ("ed25519", public, signature, text[:-1])) == [BAD] * 2


def test_ed25519_edge_cases() -> None:
    key = Ed25519PrivateKey.from_private_bytes(b"\x11" * 32)
    public = key.public_key().public_bytes_raw()
    text = b"edge"
    signature = key.sign(text)
    r, s = signature[:32], int.from_bytes(signature[32:], "little")

    def of(scalar: int, point: bytes = r) -> tuple[str, bytes, bytes, bytes]:
        return "ed25519", public, point + scalar.to_bytes(32, "little"), text

    assert reasons(of(s)) == [OK]
    # Malleable S (RFC 8032, 5.1.7), S of 0, L - 1, L and the largest one; no point; points that are not reduced.
    assert set(reasons(of(s + L), of(0), of(L - 1), of(L), of(2**256 - 1))) == {BAD}
    small = [0, 1, P - 1, P, P + 1, 2**255 - 1, 2**255 + 1, 2**256 - 1, 2]
    points = [value.to_bytes(32, "little") for value in small]
    assert set(reasons(*(of(s, point) for point in points))) == {BAD}
    assert set(reasons(*(of(0, point) for point in points))) == {BAD}
    # A key and a signature of small order verify for every message with careless checks; ours has another key.
    assert reasons(("ed25519", public, bytes([1]) + bytes(63), text)) == [BAD]


def p256(seed: int) -> tuple[ec.EllipticCurvePrivateKey, bytes]:
    key = ec.derive_private_key(seed, ec.SECP256R1())
    numbers = key.public_key().public_numbers()
    return key, numbers.x.to_bytes(32, "big") + numbers.y.to_bytes(32, "big")


def test_es256() -> None:
    rng = random.Random(3)
    key, public = p256(rng.getrandbits(255))
    requests = []
    for size in SIZES:
        text = rng.randbytes(size)
        r, s = decode_dss_signature(key.sign(text, ec.ECDSA(hashes.SHA256())))
        requests.append(("es256", public, r.to_bytes(32, "big") + s.to_bytes(32, "big"), text))
    assert set(reasons(*requests)) == {OK}

    def of(first: int, second: int) -> tuple[str, bytes, bytes, bytes]:
        return "es256", public, first.to_bytes(32, "big") + second.to_bytes(32, "big"), text

    assert reasons(of(r, s), of(r, N256 - s)) == [OK, OK]  # both roots, as ECDSA has it
    edges = [0, 1, N256 - 1, N256, N256 + 1, P256 - N256, P256, 2**256 - 1]
    assert set(reasons(*(of(value, s) for value in edges), *(of(r, value) for value in edges))) == {BAD}
    assert set(reasons(of(0, 0), of(s, r))) == {BAD}
    if r + N256 < 2**256:
        assert reasons(of(r + N256, s)) == [BAD]
    signature = requests[-1][2]
    flips = [signature[:i] + bytes([signature[i] ^ 1 << i % 8]) + signature[i + 1 :] for i in range(64)]
    assert set(reasons(*(("es256", public, flip, text) for flip in flips))) == {BAD}


def test_ecdh() -> None:
    rng = random.Random(4)
    for _ in range(5):
        own, _ = p256(rng.getrandbits(255))
        other, public = p256(rng.getrandbits(255))
        scalar = own.private_numbers().private_value.to_bytes(32, "big")
        assert outputs(("ecdh", scalar, public)) == [own.exchange(ec.ECDH(), other.public_key())]
    x, y = int.from_bytes(public[:32], "big"), int.from_bytes(public[32:], "big")
    wrong = [(0, 0), (x, y ^ 1), (x ^ 1, y), (x + P256, y), (x, P256), (P256, y), (2**256 - 1, 2**256 - 1), (0, y)]
    pairs = [(a % 2**256).to_bytes(32, "big") + b.to_bytes(32, "big") for a, b in wrong]
    assert set(reasons(*(("ecdh", scalar, pair) for pair in pairs))) == {DECRYPT}


def test_key_wrap() -> None:
    # RFC 3394, 4.1, 4.3, 4.6: key encryption key, key data, ciphertext.
    vectors = [
        (16, "00112233445566778899aabbccddeeff", "1fa68b0a8112b447aef34bd8fb5a7b829d3e862371d2cfe5"),
        (32, "00112233445566778899aabbccddeeff", "64e8c3f9ce0f5ba263e9777905818a2a93c8191e7d6e8ae7"),
        (
            32,
            "00112233445566778899aabbccddeeff000102030405060708090a0b0c0d0e0f",
            "28c9f404c4b810f4cbccb35cfb87f8263f5786e2d80ed326cbc7f0e71a99f43bfb988b9b7a02dd21",
        ),
    ]
    for size, data, wrapped in vectors:
        assert outputs(("kw", bytes(range(size)), bytes.fromhex(wrapped))) == [bytes.fromhex(data)]
    rng = random.Random(5)
    kek, key = rng.randbytes(16), rng.randbytes(16)
    wrapped_key = aes_key_wrap(kek, key)
    flips = [wrapped_key[:i] + bytes([wrapped_key[i] ^ 1]) + wrapped_key[i + 1 :] for i in range(24)]
    assert set(reasons(*(("kw", kek, flip) for flip in flips))) == {DECRYPT}
    sizes = [wrapped_key[:n] for n in (0, 8, 16, 23)] + [wrapped_key + bytes(8), wrapped_key + bytes(40)]
    assert set(reasons(*(("kw", kek, text) for text in sizes))) == {DECRYPT}
    assert reasons(("kw", kek[:15], wrapped_key)) == [DECRYPT]


@pytest.mark.parametrize("key_size", [16, 24, 32])
def test_ctr(key_size: int) -> None:
    rng = random.Random(key_size)
    key = rng.randbytes(key_size)
    for counter in (rng.randbytes(16), b"\xff" * 16, bytes(14) + b"\xff\xff", b"\0" * 8 + b"\xff" * 8):
        for size in (0, 1, 15, 16, 17, 33, 500):
            text = rng.randbytes(size)
            encryptor = Cipher(algorithms.AES(key), modes.CTR(counter)).encryptor()
            assert outputs(("ctr", key, counter, encryptor.update(text))) == [text]


def test_gcm() -> None:
    # NIST's test cases 1 to 4 (the GCM specification, appendix B): key, IV, AAD, ciphertext, tag, plaintext.
    key = bytes.fromhex("feffe9928665731c6d6a8f9467308308")
    iv = bytes.fromhex("cafebabefacedbaddecaf888")
    cipher = bytes.fromhex(
        "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e"
        "21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091473f5985"
    )
    plain = bytes.fromhex(
        "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
        "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255"
    )
    aad = bytes.fromhex("feedfacedeadbeeffeedfacedeadbeefabaddad2")
    cases = [
        (bytes(16), bytes(12), b"", b"", "58e2fccefa7e3061367f1d57a4e7455a", b""),
        (
            bytes(16),
            bytes(12),
            b"",
            bytes.fromhex("0388dace60b6a392f328c2b971b2fe78"),
            "ab6e47d42cec13bdf53a67b21257bddf",
            bytes(16),
        ),
        (key, iv, b"", cipher, "4d5c2af327cd64a62cf35abd2ba6fab4", plain),
        (key, iv, aad, cipher[:-4], "5bc94fbc3221a5db94fae95ae7121a47", plain[:-4]),
    ]
    for case_key, case_iv, extra, text, tag, expected in cases:
        assert outputs(("gcm", case_key, case_iv, extra, text, bytes.fromhex(tag))) == [expected]
    rng = random.Random(6)
    for key_size in (16, 24, 32):
        key = rng.randbytes(key_size)
        for size, extra_size in ((0, 0), (0, 17), (1, 0), (15, 16), (16, 15), (17, 33), (300, 1)):
            iv, text, extra = rng.randbytes(12), rng.randbytes(size), rng.randbytes(extra_size)
            sealed = AESGCM(key).encrypt(iv, text, extra)
            body, tag_bytes = sealed[:-16], sealed[-16:]
            assert outputs(("gcm", key, iv, extra, body, tag_bytes)) == [text]
            wrong_tag = bytes([tag_bytes[0] ^ 0x80]) + tag_bytes[1:]
            assert (
                reasons(
                    ("gcm", key, iv, extra, body, wrong_tag),
                    ("gcm", key, iv, extra + b"\0", body, tag_bytes),
                    ("gcm", key, iv, extra, body + b"\0", tag_bytes),
                )
                == [DECRYPT] * 3
            )


def test_ccm() -> None:
    # RFC 3610, packet vector #1.
    key = bytes.fromhex("c0c1c2c3c4c5c6c7c8c9cacbcccdcecf")
    nonce = bytes.fromhex("00000003020100a0a1a2a3a4a5")
    sealed = bytes.fromhex("588c979a61c663d2f066d0c2c0f989806d5f6b61dac38417e8d12cfdf926e0")
    plain = bytes(range(8, 31))
    assert outputs(("ccm_encrypt", key, nonce, bytes(range(8)), plain, 8)) == [sealed]
    rng = random.Random(7)
    for nonce_size in (7, 12, 13):
        for tag_size in (4, 8, 16):
            for size, extra_size in ((0, 0), (0, 5), (1, 14), (16, 30), (33, 0), (257, 300)):
                nonce, text, extra = rng.randbytes(nonce_size), rng.randbytes(size), rng.randbytes(extra_size)
                sealed = AESCCM(key, tag_size).encrypt(nonce, text, extra)
                assert outputs(("ccm_encrypt", key, nonce, extra, text, tag_size)) == [sealed]
                assert outputs(("ccm_decrypt", key, nonce, extra, sealed, tag_size)) == [text]
                wrong = sealed[:-1] + bytes([sealed[-1] ^ 1])
                assert reasons(("ccm_decrypt", key, nonce, extra, wrong, tag_size)) == [DECRYPT]
    bad = [(b"n" * 6, 8), (b"n" * 14, 8), (b"n" * 13, 3), (b"n" * 13, 5), (b"n" * 13, 2), (b"n" * 13, 18)]
    assert set(reasons(*(("ccm_decrypt", key, nonce, b"", bytes(64), size) for nonce, size in bad))) == {DECRYPT}
    assert reasons(("ccm_decrypt", key, nonce, b"", bytes(7), 8)) == [DECRYPT]


@pytest.mark.parametrize(("height", "w"), [(5, 1), (5, 2), (5, 4), (5, 8), (10, 1), (10, 2), (10, 4)])
def test_hsslms_parameter_sets(height: int, w: int) -> None:
    lms = {5: pyhsslms.lms_sha256_m32_h5, 10: pyhsslms.lms_sha256_m32_h10}[height]
    ots = getattr(pyhsslms, f"lmots_sha256_n32_w{w}")
    key = pyhsslms.HssPrivateKey(levels=1, lms_type=lms, lmots_type=ots)
    public = key.publicKey().serialize()
    signatures = [key.sign(b"message %d" % i) for i in range(4)]
    assert len(public) == 60
    requests = [("hsslms", public, sig, b"message %d" % i) for i, sig in enumerate(signatures)]
    assert set(reasons(*requests)) == {OK}
    assert reasons(("hsslms", public, signatures[0], b"message 1")) == [BAD]


@pytest.mark.parametrize("height", [5, 10, 15, 20, 25])
@pytest.mark.parametrize("w", [4, 8])
def test_hsslms_tall_trees(height: int, w: int) -> None:
    """One leaf of a tree whose other nodes are random: the root follows from them, and with it the public key."""
    rng = random.Random(height * w)
    ots_type = getattr(pyhsslms, f"lmots_sha256_n32_w{w}")
    lms_type = (4 + height // 5).to_bytes(4, "big")
    identifier, path = rng.randbytes(16), [rng.randbytes(32) for _ in range(height)]
    for leaf in (0, 2**height - 1, rng.randrange(2**height)):
        number = leaf.to_bytes(4, "big")
        ots = pyhsslms.LmotsPrivateKey(I=identifier, q=number, lmots_type=ots_type)
        node = 2**height + leaf
        value = hashlib.sha256(identifier + node.to_bytes(4, "big") + b"\x82\x82" + ots.publicKey().K).digest()
        for sibling in path:
            pair = sibling + value if node % 2 else value + sibling
            node //= 2
            value = hashlib.sha256(identifier + node.to_bytes(4, "big") + b"\x83\x83" + pair).digest()
        public = bytes([0, 0, 0, 1]) + lms_type + ots_type + identifier + value
        signature = bytes(4) + number + ots.sign(b"text") + lms_type + b"".join(path)
        other = (leaf ^ 1).to_bytes(4, "big")
        assert reasons(
            ("hsslms", public, signature, b"text"),
            ("hsslms", public, signature, b"next"),
            ("hsslms", public, signature[:4] + other + signature[8:], b"text"),
            ("hsslms", public, signature[:-32], b"text"),
        ) == [OK, BAD, BAD, BAD]


@pytest.mark.parametrize("levels", [1, 2, 3, 8])
def test_hsslms_levels(levels: int) -> None:
    key = pyhsslms.HssPrivateKey(
        levels=levels, lms_type=pyhsslms.lms_sha256_m32_h5, lmots_type=pyhsslms.lmots_sha256_n32_w4
    )
    public = key.publicKey().serialize()
    requests = [("hsslms", public, key.sign(b"%d" % i), b"%d" % i) for i in range(35 if levels == 2 else 2)]
    assert set(reasons(*requests)) == {OK}
    signature, text = requests[0][2], b"0"
    rng = random.Random(8)
    wrong = [signature[:size] for size in rng.sample(range(len(signature)), 60)] + [signature + b"\0", b""]
    flips = [*range(12), *rng.sample(range(len(signature)), 60)]
    wrong += [signature[:at] + bytes([signature[at] ^ 1 << at % 8]) + signature[at + 1 :] for at in flips]
    assert set(reasons(*(("hsslms", public, sig, text) for sig in wrong))) == {BAD}
    # Keys of other levels and parameter sets, also of ones that do not exist.
    keys = [number.to_bytes(4, "big") + public[4:] for number in (0, levels + 1, 9, 2**32 - 1)]
    keys += [public[:4] + number.to_bytes(4, "big") + public[8:] for number in (0, 4, 6, 10, 2**32 - 1)]
    keys += [public[:8] + number.to_bytes(4, "big") + public[12:] for number in (0, 2, 5, 2**32 - 1)]
    keys += [public[:-1] + bytes([public[-1] ^ 1]), public[:12] + bytes(16) + public[28:]]
    assert set(reasons(*(("hsslms", other, signature, text) for other in keys))) == {BAD}


def test_hsslms_leaf_out_of_range() -> None:
    """A leaf number beyond the tree is refused, whatever else fits."""
    key = pyhsslms.HssPrivateKey(levels=1, lms_type=pyhsslms.lms_sha256_m32_h5, lmots_type=pyhsslms.lmots_sha256_n32_w8)
    public, signature = key.publicKey().serialize(), key.sign(b"x")
    leaves = [number.to_bytes(4, "big") for number in (32, 33, 2**31, 2**32 - 1)]
    wrong = [signature[:4] + leaf + signature[8:] for leaf in leaves]
    assert set(reasons(*(("hsslms", public, sig, b"x") for sig in wrong))) == {BAD}
