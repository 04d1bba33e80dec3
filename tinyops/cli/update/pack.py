"""tinyops update pack"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from tinyops.cli.common import (
    console,
    emit_json,
    json_option,
    model_argument,
    plain,
    resolve_board,
    resolve_features,
    resolve_model,
    say,
    shown,
    symbol_name,
)
from tinyops.cli.key_options import ask_pin, passphrase_source
from tinyops.cli.update.pack_options import content_options, firmware_options, identity_options, signing_options
from tinyops.device.project import Project, UpdateTable, find_project
from tinyops.errors import UsageError
from tinyops.suit.registry import Algorithm as Cose
from tinyops.suit.registry import DialectName
from tinyops.update.firmware_image import ImageFormat, ImageLayout
from tinyops.update.keystore import Keystore, Passphrase
from tinyops.update.pack import (
    Options,
    Packed,
    Part,
    Signing,
    check_use_before,
    choose_sequence,
    default_sequence,
    pack_parts,
)
from tinyops.update.pack_description import pack_description
from tinyops.update.pack_firmware import FirmwareOptions, firmware_part
from tinyops.update.pack_folder import check_output, newest_beside, write_pack
from tinyops.update.pack_model import ModelOptions, board_target, make_capsule, model_part, read_previous
from tinyops.update.recipients import find_recipient
from tinyops.update.target import Target, read_target, refuse_untrusted


@click.command("pack", short_help="Make a signed update of a model or a firmware image.")
@model_argument
@identity_options
@signing_options
@content_options
@firmware_options
@click.option(
    "--description",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE.yaml",
    help="A manifest of your own, instead of MODEL.",
)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="A new folder; default: updates/NAME-SEQUENCE.")
@json_option
def command(
    model: Path | None,
    names: tuple[str, ...],
    keystore: Keystore,
    passphrase_file: Path | None,
    sequence: int | None,
    description: Path | None,
    output: Path | None,
    json_to: str | None,
    **options: Any,
) -> None:
    """Make a signed update of MODEL: capsule, golden vectors, deltas and manifest, in one folder.

    With --firmware the update has a firmware image, too; without MODEL it has that alone.
    """
    if output is not None:
        check_output(output)
    check_use_before(options["use_before"])
    ask = passphrase_source(passphrase_file)
    records = [keystore.choose(name) for name in names or (None,)]
    for record in records if description is None else ():
        if record.role == "root":
            raise UsageError(
                f"the key {record.name!r} has the role root: devices take revocations from it, and no models",
                allowed="a signer's key",
            )
    signing = [Signing(record.name, keystore.signer(record, ask, ask_pin)) for record in records]
    if description is not None:
        if model is not None or options["firmware"]:
            raise UsageError(
                "a description names its own payloads", allowed="--description without MODEL or --firmware"
            )
        packed = pack_description(description, default_sequence() if sequence is None else sequence, signing)
        name = description.stem
    else:
        packed, name = _pack(model, keystore, signing, ask, sequence, options)
    target = output or Path("updates") / f"{name}-{packed.facts['sequence']}"
    write_pack(target, packed)
    if json_to:
        emit_json(packed.facts | {"folder": str(target)}, json_to)
    if json_to != "-":
        print_pack(packed, target)


def _pack(
    model: Path | None,
    keystore: Keystore,
    signing: Sequence[Signing],
    ask: Passphrase,
    sequence: int | None,
    options: Mapping[str, Any],
) -> tuple[Packed, str]:
    """A pack of a model, a firmware, or both, and what to call it."""
    target = read_target(options["build"]) if options["build"] is not None else None
    if target is not None:
        if options["board"] not in (None, target.board):
            raise UsageError(f"--board {options['board']}", where=str(options["build"]), allowed=f"{target.board}")
        refuse_untrusted(target, [key.signer.kid for key in signing], keystore)
    parts: list[Part] = []
    earlier: list[tuple[int, str]] = []
    if model is not None or not options["firmware"]:
        part, target, earlier = _model(model, target, options)
        parts.append(part)
    if options["firmware"]:
        parts.append(firmware_part(options["firmware"], _firmware(keystore, ask, options)))
    if options["class_text"] is not None or target is None:
        target = _named_target(target, options)
    common = Options(
        sequence=sequence,
        dialect=DialectName(options["dialect"]),
        server=options["server"],
        use_before=options["use_before"],
        device=options["device"],
        recipients=tuple(find_recipient(text, keystore, ask) for text in options["encrypt"]),
        cipher=Cose.A128GCM if options["cipher"] == "gcm" else Cose.A128CTR,
        sbom=options["sbom"],
        sbom_uri=options["sbom_uri"],
        text=options["text"],
    )
    packed = pack_parts(parts, target, common, signing, choose_sequence(common, target, earlier))
    return packed, str(parts[0].facts.get("name", "firmware"))


def _model(
    model: Path | None, target: Target | None, options: Mapping[str, Any]
) -> tuple[Part, Target, list[tuple[int, str]]]:
    """The model's part, the target (by default that of its board), and the sequence numbers of earlier packs."""
    path, project = resolve_model(model)
    name = options["name"] or (target.name if target is not None else None)
    symbol = symbol_name(path, name, project)
    features = resolve_features(path, options["features"], project)
    front_end = features if target is None else target.features
    board = None if target is not None else resolve_board(options["board"], project, "--board NAME or --build FOLDER")
    previous = [read_previous(place) for place in options["previous"]]
    settings = ModelOptions(
        golden_inputs=options["golden_inputs"],
        golden_steps=options["golden_steps"],
        golden_seed=options["golden_seed"],
        plan_seconds=options["plan_seconds"],
        dataset=options["dataset"],
        sbom=None if options["sbom"] is None else options["sbom_uri"] or options["sbom"].name,
    )
    with console.status(f"making the capsule of {plain(path.name)}"):
        made = make_capsule(path, symbol, settings, features=front_end)
        if target is None:
            assert board is not None
            target = board_target(made, _vendor(options, project), board)
        part = model_part(made, target, previous)
    return part, target, [(p.sequence, p.where) for p in previous if p.sequence is not None]


def _firmware(keystore: Keystore, ask: Passphrase, options: Mapping[str, Any]) -> FirmwareOptions:
    signer = None
    if options["mcuboot_key"] is not None:
        signer = keystore.signer(keystore.get(options["mcuboot_key"]), ask, ask_pin)
    layout = ImageLayout(
        version=options["image_version"],
        header=options["header_size"],
        slot=options["slot_size"],
        align=int(options["align"]),
        confirmed=options["confirmed"],
    )
    return FirmwareOptions(
        ImageFormat(options["form"]),
        layout,
        options["start_address"],
        signer,
        options["previous_firmware"],
        options["in_place"],
    )


def _vendor(options: Mapping[str, Any], project: Project | None) -> str:
    """That of --vendor, else the project's, else the default of a build."""
    table = project.update if project is not None else None
    vendor: str = options["vendor"] or (table or UpdateTable()).vendor
    return vendor


def _named_target(target: Target | None, options: Mapping[str, Any]) -> Target:
    """The target of --vendor and --class, which replace those of `target`."""
    if options["class_text"] is None:
        raise UsageError("no class of devices is named", allowed="--build FOLDER, or --vendor DOMAIN and --class TEXT")
    vendor = options["vendor"] or (target.vendor if target is not None else _vendor(options, find_project()))
    named = Target.of_text(vendor, options["class_text"], options["board"])
    return named if target is None else target.renamed(named)


def print_pack(packed: Packed, folder: Path) -> None:
    """The files of a pack, and what to be warned of."""
    facts = packed.facts
    for name, content in packed.files.items():
        say(f"  {plain(shown(folder / name))}  {len(content):,} B")
    for image in facts["images"]:
        if "bytes" in image:
            _print_image(image)
    signed = ", ".join(f"{plain(key['name'])} ({key['algorithm']}, kid {key['kid']})" for key in facts["keys"])
    say(f"sequence {facts['sequence']}, signed with {signed}")
    before, name = newest_beside(folder, facts)
    late = f"{name}, for the same devices, has sequence {before}: those that have it refuse this pack"
    for warning in [*facts["warnings"], *([late] if before >= facts["sequence"] else [])]:
        say(f"[yellow]warning:[/] {plain(warning)}")
    say(f"next: tinyops update inspect {plain(shown(folder))}", style="dim")


def _print_image(image: Mapping[str, Any]) -> None:
    sealed = f", encrypted ({image['encrypted']})" if image["encrypted"] else ""
    say(f"{plain(image['component'])}: {image['bytes']:,} B, sha-256 {image['sha256'][:16]}…{sealed}")
    for delta in image["deltas"]:
        share = 100 * delta["bytes"] / image["bytes"]
        say(f"  delta from {delta['base_sha256'][:16]}…: {delta['bytes']:,} B, {share:.1f} % of the whole")
    for skipped in image.get("skipped_deltas", ()):
        say(f"  no delta from {plain(skipped['from'])}: {plain(skipped['why'])}", style="dim")
