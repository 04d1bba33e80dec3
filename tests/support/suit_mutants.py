"""Valid envelopes of many shapes, and what seeded accidents make of them.

Mutants of the structure are signed again, so that the change is met by more than the signature.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from tests.support.hostile import DELTA_URI, accepted
from tests.support.suit import (
    CLASS,
    ES256,
    FIRMWARE_CLASS,
    HSS_LMS,
    MAC,
    NEW,
    NOW,
    OLD,
    REVOKED,
    ROOT,
    SIGNER,
    STRANGER,
    URI,
    VENDOR,
    common,
    digest,
    ec_private,
    envelope_map,
    keys_update,
    model_image,
    plain_manifest,
    seal,
    sequence,
    signed,
    update,
)
from tinyops.suit import FIRMWARE, Algorithm, Delta, Image, LanguageTexts, Unsigned, sign
from tinyops.suit.cbor import CborError, RawKey, Tag, decode, encode
from tinyops.suit.encryption import Recipient, encrypt
from tinyops.suit.keys import Key, Role

_PRIVATE = ec_private("receiver")
_POINT = _PRIVATE.public_key().public_numbers()
UNWRAP = Key(Algorithm.A128KW, b"k" * 16, b"kw", Role.DECRYPT)
AGREE = Key(Algorithm.ECDH_ES_A128KW, _PRIVATE.private_numbers().private_value.to_bytes(32, "big"), b"es", Role.DECRYPT)
_RECIPIENTS = (
    Recipient(UNWRAP.algorithm, UNWRAP.material, UNWRAP.kid),
    Recipient(AGREE.algorithm, _POINT.x.to_bytes(32, "big") + _POINT.y.to_bytes(32, "big"), AGREE.kid),
)


def seeds() -> list[bytes]:
    """Every kind of command, member and authentication in manifests that are accepted."""
    delta = Delta(DELTA_URI, digest(OLD), len(OLD))
    firmware = b"firmware 2 " * 30
    fetched = Image(FIRMWARE, digest(firmware), len(firmware), "#fw", class_id=FIRMWARE_CLASS, invoke=True)
    both = update(
        model_image(), fetched, payloads={"#fw": firmware}, set_version=(2, 0), manifest_component=FIRMWARE
    )  # fmt: skip
    texts = {"en": LanguageTexts({1: "a text"})}
    limited = update(use_before=NOW + 5, reference_uri="coap://x", texts=texts, coswid=b"\xa0")
    with_delta = signed(update(model_image(deltas=(delta,))))
    return [
        *[signed(), with_delta, signed(both), signed(limited), keys_update(ROOT), signed(signer=HSS_LMS)],
        *accepted().values(),
        *_with_encryption(),
        _with_everything(),
    ]


def _with_encryption() -> Iterator[bytes]:
    for algorithm, recipient, signer in itertools.product(
        (Algorithm.A128GCM, Algorithm.A128CTR), _RECIPIENTS, (SIGNER, ES256, MAC)
    ):
        ciphertext, info = encrypt(NEW, [recipient], algorithm)
        manifest = encode(plain_manifest(m20=sequence(12, 0, 20, {19: info, 21: "#e"}, 21, 15, 3, 15)))
        yield sign(Unsigned(manifest, payloads={"#e": ciphertext}), signer)


def _with_everything() -> bytes:
    """Copy, swap, invoke, slots, versions, batteries and choices."""
    target = {3: encode([-16, digest(NEW)]), 14: len(NEW)}
    model = {1: VENDOR.bytes, 2: CLASS.bytes, **target}
    firmware = {1: VENDOR.bytes, 2: FIRMWARE_CLASS.bytes, **target}
    identity = [1, 15, 2, 15]
    shared = sequence(12, 0, 20, model, *identity, 12, 1, 20, firmware, *identity)
    asked = {5: 1, 22: 0, 26: 400, 27: 2, 28: encode([2, [1, 2]])}
    soft = sequence(20, {13: True}, 14, 15)
    install = [12, 0, 20, {21: URI}, 21, 15, 3, 15]
    install += [12, 1, 20, asked, 5, 15, 26, 15, 27, 15, 28, 15, 22, 15, 3, 15, 12, True, 32, soft]
    missing = sequence(20, {3: encode([-16, digest(OLD)])}, 25, 15, 20, target)
    validate = sequence(12, 0, 15, [sequence(14, 15), missing, None], 3, 15)
    load = sequence(12, 1, 20, {22: 0, 23: b"args"}, 31, 15)
    members = {"m20": sequence(*install), "m7": validate, "m8": load, "m9": sequence(12, [0, 1], 23, 2)}
    return seal(plain_manifest(m3=common([[b"model"], [b"firmware"]], shared), **members))


# ---- trees: encoded items within byte strings are opened, too ----


@dataclass
class Wrap:
    """A byte string that holds an encoded item."""

    item: Any


@dataclass
class Map:
    """Pairs in an order that may be wrong, with keys that may be there twice."""

    pairs: list[list[Any]]


def explode(value: Any) -> Any:
    if isinstance(value, bytes) and len(value) > 1:
        try:
            inner = decode(value, ordered=False)
        except CborError:
            return value
        return Wrap(explode(inner)) if isinstance(inner, (list, dict, Tag)) else value
    if isinstance(value, list):
        return [explode(item) for item in value]
    if isinstance(value, dict):
        return Map([[list(key) if isinstance(key, tuple) else key, explode(item)] for key, item in value.items()])
    return Tag(value.number, explode(value.value)) if isinstance(value, Tag) else value


def collapse(value: Any, rng: random.Random) -> bytes:
    """The encoding; the maps are put in order again, but once in a while."""
    if isinstance(value, Wrap):
        return encode(collapse(value.item, rng))
    if isinstance(value, list):
        return encode_head(4, len(value)) + b"".join(collapse(item, rng) for item in value)
    if isinstance(value, Map):
        pairs = [collapse(key, rng) + collapse(item, rng) for key, item in value.pairs]
        ordered = pairs if rng.random() < 0.05 else sorted(pairs)
        return encode_head(5, len(pairs)) + b"".join(ordered)
    if isinstance(value, Tag):
        return encode_head(6, value.number) + collapse(value.value, rng)
    return value.encoded if isinstance(value, RawKey) else encode(value)


def encode_head(major: int, argument: int) -> bytes:
    plain = encode(argument)
    return bytes([plain[0] | major << 5]) + plain[1:]


def _nodes(value: Any, put: Callable[[Any], None]) -> Iterator[tuple[Any, Callable[[Any], None]]]:
    """Every node with the function that replaces it."""
    yield value, put
    if isinstance(value, Wrap):
        yield from _nodes(value.item, lambda new: setattr(value, "item", new))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _nodes(item, lambda new, index=index: value.__setitem__(index, new))  # type: ignore[misc]
    elif isinstance(value, Map):
        for pair in value.pairs:
            yield from _nodes(pair[0], lambda new, pair=pair: pair.__setitem__(0, new))  # type: ignore[misc]
            yield from _nodes(pair[1], lambda new, pair=pair: pair.__setitem__(1, new))  # type: ignore[misc]


_NUMBERS = [0, 1, 2, 3, 5, 6, 12, 13, 14, 15, 16, 18, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33, 99, -1, -16, -300]
_EDGES = [23, 24, 127, 128, 255, 256, 65535, 65536, (1 << 31) - 1, 1 << 31, (1 << 32) - 1, 1 << 32, (1 << 64) - 1]


def _anything(rng: random.Random) -> Any:
    kinds: list[Callable[[], Any]] = [
        lambda: rng.choice(_NUMBERS),
        lambda: rng.choice(_EDGES),
        lambda: -1 - rng.choice(_EDGES),
        lambda: rng.choice([None, True, False]),
        lambda: rng.randbytes(rng.choice([0, 1, 15, 16, 17, 32])),
        lambda: rng.choice(["", "#fw", "#", URI, "x" * 129]),
        list,
        lambda: Map([]),
        lambda: [rng.choice(_NUMBERS), rng.choice(_NUMBERS)],
        lambda: Wrap([rng.choice(_NUMBERS), 15]),
        lambda: Map([[rng.choice(_NUMBERS), rng.choice(_NUMBERS)]]),
        lambda: Tag(rng.choice([18, 96, 107]), 0),
    ]
    return rng.choice(kinds)()


def _changed_scalar(value: Any, rng: random.Random) -> Any:
    if type(value) is int and rng.random() < 0.7:
        return max(-(1 << 64), min((1 << 64) - 1, rng.choice([value + 1, value - 1, *_NUMBERS, *_EDGES])))
    if isinstance(value, bytes) and value and rng.random() < 0.7:
        at = rng.randrange(len(value))
        return rng.choice([value[:at], value + b"\x00", value[:at] + bytes([value[at] ^ 1]) + value[at + 1 :]])
    if isinstance(value, str) and rng.random() < 0.7:
        return rng.choice([value + "x", value[1:], "#" + value])
    return _anything(rng)


def _change_list(items: list[Any], rng: random.Random) -> None:
    at = rng.randrange(len(items) + 1)
    kind = rng.randrange(6)
    if kind == 0:
        del items[at : at + rng.choice([1, 2])]
    elif kind == 1:
        items[at:at] = items[at : at + rng.choice([1, 2])]
    elif kind == 2:
        items[at & ~1 : at & ~1] = [rng.choice(_NUMBERS), rng.choice([15, 0, 2, 16])]
    elif kind == 3:
        items[at:at] = [_anything(rng)]
    elif kind == 4 and len(items) >= 4:
        first, second = rng.sample(range(len(items) // 2), 2)
        pairs = items[2 * first : 2 * first + 2], items[2 * second : 2 * second + 2]
        items[2 * second : 2 * second + 2], items[2 * first : 2 * first + 2] = pairs
    else:
        nested = Wrap(list(items[at & ~1 : (at & ~1) + 4]) or [12, 0])
        items[at & ~1 : at & ~1] = [32, nested] if rng.random() < 0.5 else [15, [nested, rng.choice([None, nested])]]


def _change_map(value: Map, rng: random.Random) -> None:
    at = rng.randrange(len(value.pairs) + 1)
    kind = rng.randrange(4)
    if kind == 0:
        del value.pairs[at : at + 1]
    elif kind == 1 and at < len(value.pairs):
        value.pairs.append(list(value.pairs[at]))
    elif kind == 2 and at < len(value.pairs):
        value.pairs[at][0] = rng.choice(_NUMBERS)
    else:
        value.pairs.append([rng.choice(_NUMBERS), _anything(rng)])


def mutate_tree(tree: Any, rng: random.Random) -> Any:
    """The tree with one change somewhere."""
    holder = [tree]
    value, put = rng.choice(list(_nodes(tree, lambda new: holder.__setitem__(0, new))))
    roll = rng.random()
    if roll < 0.1:
        put(_anything(rng))
    elif isinstance(value, list):
        _change_list(value, rng)
    elif isinstance(value, Map):
        _change_map(value, rng)
    elif isinstance(value, Wrap):
        put(rng.choice([Wrap(value), value.item, b"", Wrap([])]))
    elif not isinstance(value, Tag):
        put(_changed_scalar(value, rng))
    return holder[0]


_HEADS = [0x00, 0x18, 0x1B, 0x40, 0x5F, 0x80, 0x9F, 0xA0, 0xF6, 0xFF]


def mutate_bytes(data: bytes, rng: random.Random) -> bytes:
    """One to three accidents with bytes."""
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        at = rng.randrange(len(data) + 1)
        kind = rng.randrange(6)
        if kind == 0:
            data = data[:at]
        elif kind == 1:
            data = data[:at] + rng.randbytes(1) + data[at:]
        elif kind == 2:
            data = data[:at] + data[at + rng.choice([1, 2, 8]) :]
        elif kind == 3 and at < len(data):
            data = (
                data[:at]
                + bytes([rng.choice([0x00, 0x18, 0x1B, 0x40, 0x5F, 0x80, 0x9F, 0xA0, 0xF6, 0xFF])])
                + data[at + 1 :]
            )
        elif at < len(data):
            data = data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]
    return data


def _resealed(content: bytes, envelope: dict[Any, Any], rng: random.Random) -> bytes:
    """The manifest with the other members of its old envelope, signed again; by another key once in a while."""
    signer = rng.choice([ES256, ROOT, REVOKED, STRANGER]) if rng.random() < 0.03 else SIGNER
    rest = {key: value for key, value in envelope.items() if key not in {2, 3}}
    return encode(Tag(107, envelope_map(content, signer) | rest))


def mutants(count: int, seed: int) -> Iterator[bytes]:
    """Two in five: structure of the manifest, signed again. One in five each: bytes of the manifest, signed again;
    structure of the envelope; bytes of the envelope."""
    rng = random.Random(seed)
    pool = seeds()
    for number in range(count):
        data = rng.choice(pool)
        plain = decode(data).value
        if number % 5 in {0, 1}:
            tree = explode(decode(plain[3]))
            for _ in range(rng.choice([1, 1, 1, 2, 3])):
                tree = mutate_tree(tree, rng)
            yield _resealed(collapse(tree, rng), plain, rng)
        elif number % 5 == 2:
            yield _resealed(mutate_bytes(plain[3], rng), plain, rng)
        elif number % 5 == 3 and rng.random() < 0.5:
            yield collapse(mutate_tree(Tag(107, explode(plain)), rng), rng)
        elif number % 5 == 3:
            authentication = collapse(mutate_tree(explode(decode(plain[2])), rng), rng)
            yield encode(Tag(107, {**plain, 2: authentication}))
        else:
            yield mutate_bytes(data, rng)
