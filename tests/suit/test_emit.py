"""Descriptions become manifests that every receiver accepts; what breaks a rule is refused with the field's name."""

from __future__ import annotations

import string
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.riot import MANIFEST_MAX, Riot, RiotError
from tests.support.suit import (
    CLASS,
    ES256,
    FIRMWARE_CLASS,
    HSS_LMS,
    MAC,
    NEW,
    NOW,
    OLD,
    SIGNER,
    URI,
    VENDOR,
    device,
    digest,
    model_image,
    signed,
    update,
    verdict,
)
from tinyops.suit import (
    FINAL,
    FIRMWARE,
    MODEL,
    RIOT_LEGACY,
    AuthoringError,
    Delta,
    Dialect,
    Envelope,
    Image,
    LanguageTexts,
    Manifest,
    Reason,
    SlotImage,
    UpdateDescription,
    class_uuid,
    emit,
    sign,
    vendor_uuid,
)
from tinyops.suit.commands import SetComponentIndex, SetParameters, TryEach, VersionMatch
from tinyops.suit.cose import parse
from tinyops.suit.coswid import sbom_reference, summary
from tinyops.suit.emit import Unsigned
from tinyops.suit.receiver import receive
from tinyops.suit.registry import Parameter, Section, VersionComparison

SLOTS = (SlotImage(0, digest(b"at 0"), 4, "coap://s/0"), SlotImage(1, digest(b"at 1"), 4, "coap://s/1"))
DELTA = Delta("coap://d/1", digest(OLD), len(OLD))


def _firmware(**changes: Any) -> Image:
    data = b"new firmware"
    return replace(Image(FIRMWARE, digest(data), len(data), "coap://f", class_id=FIRMWARE_CLASS), **changes)


def test_identities_are_those_of_the_specification() -> None:
    assert str(vendor_uuid("arm.com")) == "fa6b4a53-d5ad-5fdf-be9d-e663e4d41ffe"
    assert class_uuid(VENDOR, "host|abi1|kws") == CLASS != FIRMWARE_CLASS


def test_a_model_and_firmware_together() -> None:
    data = signed(update(model_image(), _firmware(invoke=True)))
    where = {URI: NEW, "coap://f": b"new firmware"}
    outcome = verdict(data, fetch=where.get)
    assert (outcome.reason, outcome.stored) == (Reason.OK, {0: NEW, 1: b"new firmware"})
    assert outcome.counters == {0, 1}
    places = [replace(place, content=outcome.stored.get(n)) for n, place in enumerate(device().places)]
    started = receive(data, device(places=places), boot=True)
    assert started.trace == ("invoke:1:",)


def test_a_second_image_that_is_wrong_spoils_the_first() -> None:
    outcome = verdict(signed(update(model_image(), _firmware())), fetch={URI: NEW, "coap://f": b"old firmware"}.get)
    assert (outcome.reason, outcome.stored) == (Reason.IMAGE_DIGEST, {})


def test_a_delta_is_taken_where_its_base_runs() -> None:
    data = signed(update(model_image(deltas=(replace(DELTA, base_digest=digest(b"x" * len(OLD))), DELTA))))
    asked: list[str] = []

    def fetch(uri: str) -> bytes:
        asked.append(uri)
        return NEW  # the place applies the delta

    assert verdict(data, fetch=fetch).reason is Reason.OK
    other = [replace(device().places[0], content=b"another model")]
    assert receive(data, device(places=other, fetch=fetch)).reason is Reason.OK
    assert asked == ["coap://d/1", URI]


def test_images_by_slot() -> None:
    data = signed(update(Image(FIRMWARE, slots=SLOTS, class_id=FIRMWARE_CLASS)))
    outcome = verdict(data, fetch={"coap://s/1": b"at 1"}.get)
    assert (outcome.reason, outcome.stored) == (Reason.OK, {1: b"at 1"})


def test_every_condition_that_an_author_can_set() -> None:
    description = update(
        device=class_uuid(VENDOR, "device 1"),
        use_before=NOW + 1,
        requires_version=VersionMatch(VersionComparison.GREATER_EQUAL, (1, 2)),
        set_version=(1, 3),
        manifest_component=FIRMWARE,
    )
    data = signed(description)
    assert verdict(data).reason is Reason.OK
    assert verdict(data, sequences={1: 5}).reason is Reason.SEQUENCE_REPLAYED
    assert verdict(data, device_id=bytes(16)).reason is Reason.DEVICE_MISMATCH
    assert verdict(data, now=NOW + 1).reason is Reason.EXPIRED
    newer = replace(description, requires_version=VersionMatch(VersionComparison.GREATER, (1, 2, 3)))
    assert verdict(signed(newer)).reason is Reason.VERSION_MISMATCH


def test_texts_and_software_travel_beside_the_manifest() -> None:
    tag = sbom_reference(
        tag_id="kws-2", name="kws", version="2", creator="example", uri="coap://sbom", digest=digest(b"sbom"), size=4
    )
    description = update(texts={"en": LanguageTexts({1: "two words"}, {MODEL: {6: "2"}})}, coswid=tag)
    envelope = Envelope.decode(signed(description))
    assert summary(envelope.severed[Section.COSWID]) == {
        "name": "kws",
        "version": "2",
        "uri": "coap://sbom",
        "sha256": digest(b"sbom").hex(),
    }
    bare = envelope.without(Section.TEXT, Section.COSWID)
    assert verdict(bare.encode()).reason is verdict(envelope.encode()).reason is Reason.OK
    assert len(bare.encode()) < len(envelope.encode()) - len(tag)


@pytest.mark.parametrize("signer", [SIGNER, ES256, MAC, HSS_LMS], ids=["ed25519", "esp256", "hmac", "hss-lms"])
def test_each_kind_of_key_signs(signer: Any) -> None:
    assert verdict(signed(signer=signer)).reason is Reason.OK


def test_several_keys_sign() -> None:
    data = sign(emit(update()), ES256, SIGNER)
    for key in (SIGNER.key(), ES256.key()):
        assert verdict(data, keys=[key]).reason is Reason.OK
    assert len(Envelope.decode(data).blocks()) == 2


def test_people_sign_sequences_of_their_own() -> None:
    own = emit(update()).manifest
    manifest = replace(Manifest.decode(own), sequence_number=9)
    data = sign(Unsigned(manifest.encode()), SIGNER)
    assert verdict(data).sequence == 9


# ---- rules ----


def _all_sequences(data: bytes, dialect: Dialect) -> list[Any]:
    manifest = Envelope.decode(data, dialect).model()
    return [manifest.shared, *manifest.sequences.values()]


_NAMES = st.text(string.ascii_lowercase, min_size=1, max_size=10).map(str.encode)
_URIS = st.text(string.ascii_letters + "/:-._~", min_size=1, max_size=127).map(lambda text: "c" + text[1:])
_DIGESTS = st.binary(min_size=32, max_size=32)
_SIZES = st.integers(1, (1 << 32) - 1)
_DELTAS = st.builds(Delta, _URIS, _DIGESTS, _SIZES)
_IMAGES = st.builds(
    Image, st.tuples(_NAMES), _DIGESTS, _SIZES, _URIS, deltas=st.lists(_DELTAS, max_size=3).map(tuple)
).filter(lambda image: all(delta.base_digest != image.digest for delta in image.deltas))
_UPDATES = st.builds(
    UpdateDescription,
    st.integers(1, (1 << 32) - 1),
    st.just(VENDOR),
    st.just(CLASS),
    st.lists(_IMAGES, min_size=1, max_size=4, unique_by=lambda image: image.component).map(tuple),
    use_before=st.none() | st.integers(1, (1 << 63) - 1),
    reference_uri=st.none() | _URIS,
    set_version=st.none() | st.lists(st.integers(-3, 99), min_size=1, max_size=4).map(tuple),
)


@given(_UPDATES)
def test_whatever_is_emitted_keeps_the_rules(description: UpdateDescription) -> None:
    data = sign(emit(description), SIGNER)
    envelope = Envelope.decode(data)
    assert envelope.encode() == data
    assert envelope.model().encode() == envelope.manifest
    for sequence in _all_sequences(data, FINAL):
        assert isinstance(sequence[0], SetComponentIndex)
        for command in sequence:
            if isinstance(command, TryEach):
                last = [
                    [c for c in branch if isinstance(c, SetParameters)][-1] for branch in command.branches if branch
                ]
                assert len(last) == len(command.branches)
                needed = {Parameter.IMAGE_DIGEST, Parameter.IMAGE_SIZE, Parameter.URI}
                assert all(needed <= set(parameters.values) for parameters in last)
    (block,) = parse(envelope.blocks()[0])
    assert SIGNER.key().verify(block.to_be_signed(envelope.authentication[0]), block.signature)


WRONG: dict[str, tuple[UpdateDescription, str]] = {
    "sequence 0": (update(sequence=0), "sequence"),
    "sequence 2^32": (update(sequence=1 << 32), "sequence"),
    "no image": (replace(update(), images=()), "images"),
    "five images": (
        replace(update(), images=tuple(model_image(component=(bytes([i]),)) for i in range(1, 6))),
        "images",
    ),
    "a component twice": (update(model_image(), model_image()), "images"),
    "a component without parts": (update(model_image(component=())), "component"),
    "a component of ..": (update(model_image(component=(b"..",))), "component"),
    "a component with a slash": (update(model_image(component=(b"a/b",))), "component"),
    "a component of 32 bytes": (update(model_image(component=(b"x" * 32,))), "component"),
    "a short digest": (update(model_image(digest=b"x" * 31)), "digest"),
    "no bytes": (update(model_image(size=0)), "size"),
    "4 GiB": (update(model_image(size=1 << 32)), "size"),
    "no source": (update(model_image(uri=None)), "uri"),
    "a URI of 128 bytes": (update(model_image(uri="c" * 128)), "uri"),
    "a URI with a space": (update(model_image(uri="coap://a b")), "uri"),
    "a URI in another script": (update(model_image(uri="coap://ä")), "uri"),
    "an empty URI": (update(model_image(uri="")), "uri"),
    "a payload that is not there": (update(model_image(uri="#x")), "uri"),
    "a payload that nobody uses": (update(payloads={"#x": b""}), "payloads"),
    "a payload without #": (update(payloads={"x": b""}), "payloads"),
    "content and a URI": (update(model_image(content=b"x")), "images[0]"),
    "content of another size": (update(model_image(content=b"x", uri=None)), "size"),
    "too much content": (update(model_image(content=bytes(513), uri=None, size=513)), "content"),
    "a delta onto itself": (update(model_image(deltas=(replace(DELTA, base_digest=digest(NEW)),))), "deltas[0]"),
    "a delta of a short digest": (update(model_image(deltas=(replace(DELTA, base_digest=b"x"),))), "deltas[0]"),
    "a delta from nothing": (update(model_image(deltas=(replace(DELTA, base_size=0),))), "deltas[0]"),
    "four deltas": (update(model_image(deltas=(DELTA,) * 4)), "deltas"),
    "one slot": (update(Image(MODEL, slots=SLOTS[:1])), "images[0]"),
    "a slot twice": (update(Image(MODEL, slots=(SLOTS[0], SLOTS[0]))), "images[0]"),
    "slots and a URI": (update(model_image(slots=SLOTS)), "images[0]"),
    "a time before 1970": (update(use_before=-1), "use_before"),
    "a version of five numbers": (update(set_version=(1, 2, 3, 4, 5)), "set_version"),
    "a version of no numbers": (update(set_version=()), "set_version"),
    "a vendor of nothing": (update(vendor=vendor_uuid("x").__class__(int=0)), "vendor"),
}


@pytest.mark.parametrize("name", WRONG)
def test_broken_rules_are_named(name: str) -> None:
    description, field = WRONG[name]
    with pytest.raises(AuthoringError) as caught:
        emit(description)
    assert caught.value.where is not None
    assert field in caught.value.where
    assert caught.value.allowed


def test_signing_mistakes_are_named() -> None:
    for signers, dialect in (
        ((), FINAL),
        ((SIGNER,) * 5, FINAL),
        ((SIGNER, SIGNER), RIOT_LEGACY),
        ((ES256,), RIOT_LEGACY),
    ):
        with pytest.raises(AuthoringError):
            sign(emit(update(), dialect), *signers)
    with pytest.raises(AuthoringError):
        emit(update(), "draft-12")


# ---- RIOT ----


def _riot(**changes: Any) -> Riot:
    base = Riot(SIGNER.raw, VENDOR.bytes, CLASS.bytes, {URI: NEW}.__getitem__)
    for name, value in changes.items():
        setattr(base, name, value)
    return base


def test_riot_carries_out_its_dialect() -> None:
    riot = _riot()
    riot.receive(sign(emit(update(), "riot-legacy"), SIGNER))
    assert riot.installed == {0: NEW}


def test_riot_refuses_the_final_dialect_and_the_reverse() -> None:
    with pytest.raises(RiotError):
        _riot().receive(signed())
    assert verdict(sign(emit(update(), RIOT_LEGACY), SIGNER)).reason is Reason.MALFORMED_CBOR


def test_riot_refuses_what_is_not_for_it() -> None:
    data = sign(emit(update(), RIOT_LEGACY), SIGNER)
    for riot in (_riot(sequence=5), _riot(class_id=bytes(16)), _riot(fetch={URI: OLD}.__getitem__)):
        with pytest.raises(RiotError):
            riot.receive(data)


def test_riot_takes_the_image_of_its_free_slot() -> None:
    data = sign(emit(update(Image(MODEL, slots=SLOTS)), RIOT_LEGACY), SIGNER)
    riot = _riot(offset=1, fetch={"coap://s/1": b"at 1"}.__getitem__)
    riot.receive(data)
    assert riot.installed == {0: b"at 1"}
    assert len(data) <= MANIFEST_MAX


def test_two_components_for_a_riot_that_has_them() -> None:
    riot = _riot(components_max=2, fetch={URI: NEW, "coap://f": b"new firmware"}.__getitem__)
    riot.receive(sign(emit(update(model_image(), _firmware(class_id=None)), RIOT_LEGACY), SIGNER))
    assert riot.installed == {0: NEW, 1: b"new firmware"}


def test_the_model_of_the_legacy_dialect_round_trips() -> None:
    data = sign(emit(update(Image(MODEL, slots=SLOTS)), RIOT_LEGACY), SIGNER)
    envelope = Envelope.decode(data)
    assert (envelope.dialect, envelope.encode()) == (RIOT_LEGACY, data)
    assert envelope.model().encode(RIOT_LEGACY) == envelope.manifest


@pytest.mark.parametrize(
    "changes",
    [
        {"use_before": NOW},
        {"device": CLASS},
        {"reference_uri": "coap://x"},
        {"set_version": (1,)},
        {"coswid": b"\xa0"},
        {"texts": {"en": LanguageTexts({1: "x"})}},
        {"images": (model_image(deltas=(DELTA,)),)},
        {"images": (model_image(encryption_info=b"x"),)},
        {"images": (model_image(uri=None, content=b"x", size=1),)},
        {"images": (model_image(invoke=True),)},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_what_riot_cannot_be_told_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(AuthoringError, match="riot-legacy"):
        emit(replace(update(), **changes), RIOT_LEGACY)


def test_an_envelope_that_is_too_large_for_riot_is_refused() -> None:
    images = tuple(Image((bytes([i]),), digest(b"x"), 1, "coap://h/" + "x" * 100) for i in range(1, 5))
    with pytest.raises(AuthoringError, match="riot-legacy"):
        sign(emit(update(*images), RIOT_LEGACY), SIGNER)


def test_the_example_of_the_documents_works() -> None:
    text = (Path(__file__).parents[2] / "docs" / "suit.md").read_text(encoding="utf-8")
    code = text.split("```python\n")[1].split("```")[0]
    names: dict[str, Any] = {"signer": SIGNER, "sha256_of_the_capsule": digest(NEW)}
    exec(compile(code, "suit.md", "exec"), names)
    manifest = Envelope.decode(names["envelope"]).model()
    assert (manifest.sequence_number, manifest.components) == (2, (MODEL,))
