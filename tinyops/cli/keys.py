"""tinyops keys"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import click
from click.core import ParameterSource
from rich.table import Table

from tinyops.cli.common import emit_json, json_option, note, plain, print_table, say, shown
from tinyops.cli.key_options import KEY_VARIABLE, ask_pin, keys_option, passphrase_option, passphrase_source
from tinyops.device.project import find_project
from tinyops.emit.files import write_file
from tinyops.errors import TinyopsError, UsageError
from tinyops.update.key_export import export, to_c
from tinyops.update.keystore import KeyRecord, Keystore, Role
from tinyops.update.pack import Signing, default_sequence
from tinyops.update.pack_folder import check_output, write_pack
from tinyops.update.pkcs11 import generate_on_token, token_public_key
from tinyops.update.revocation import choose_root, pack_revocation
from tinyops.update.signing import Algorithm
from tinyops.update.target import Target, read_target

_SIGNATURES = {"32": 1, "1024": 2}
_FORMS = ("pem", "cose", "c", "json")

role_option = click.option(
    "--role",
    type=click.Choice(get_args(Role)),
    help="signer (default): signs updates. root: signs revocations of keys. decrypt: devices decrypt with it.",
)
pkcs11_option = click.option(
    "--pkcs11", "uri", metavar="URI", help="The key is on a token: pkcs11:token=...;object=...?module-path=..."
)


@click.group("keys", short_help="Make, list, export, rotate and revoke the keys that sign updates.")
def command() -> None:
    """Keys that sign updates. Devices are built with the public ones."""


@command.command("generate")
@click.argument("name")
@click.option(
    "--algorithm",
    type=click.Choice([str(a) for a in Algorithm]),
    default="ed25519",
    show_default=True,
    help="How it signs.",
)
@role_option
@click.option(
    "--signatures",
    type=click.Choice(list(_SIGNATURES)),
    default="1024",
    show_default=True,
    help="How many an HSS/LMS key makes in its life.",
)
@click.option("--passphrase", is_flag=True, help=f"Encrypt it; asked for, or {KEY_VARIABLE}.")
@passphrase_option
@pkcs11_option
@click.option("--experimental", is_flag=True, help="Allow ML-DSA, which no device verifies yet.")
@keys_option
@json_option
def generate(
    name: str,
    algorithm: str,
    role: Role | None,
    signatures: str,
    passphrase: bool,
    passphrase_file: Path | None,
    uri: str | None,
    experimental: bool,
    keystore: Keystore,
    json_to: str | None,
) -> None:
    """Make the key NAME."""
    chosen = Algorithm(algorithm)
    role = role or ("decrypt" if chosen.decrypts else "signer")
    if chosen.experimental and not experimental:
        raise UsageError(f"{algorithm} is experimental: no device verifies it yet", hint="--experimental")
    given = click.get_current_context().get_parameter_source("signatures") is not ParameterSource.DEFAULT
    if given and not chosen.stateful:
        raise UsageError("--signatures is for hsslms keys: others sign without end", hint="--algorithm hsslms")
    if uri is not None:
        record = keystore.add_token(
            name, uri, lambda place: generate_on_token(place, chosen, lambda: ask_pin(name)), role
        )
    else:
        wanted = passphrase or passphrase_file is not None
        secret = passphrase_source(passphrase_file, new=True)(name) if wanted else None
        record = keystore.generate(name, chosen, role, passphrase=secret, levels=_SIGNATURES[signatures])
    _print_new(record, keystore, json_to)


@command.command("import")
@click.argument("name")
@click.argument("file", type=click.Path(path_type=Path), required=False)
@role_option
@passphrase_option
@pkcs11_option
@keys_option
@json_option
def import_(
    name: str,
    file: Path | None,
    role: Role | None,
    passphrase_file: Path | None,
    uri: str | None,
    keystore: Keystore,
    json_to: str | None,
) -> None:
    """Take over a private key from the PEM file FILE, or one that a token has (--pkcs11 URI), as NAME.

    A passphrase of the file stays the key's.
    """
    if (file is None) == (uri is None):
        raise UsageError("one source of the key is needed", allowed="FILE.pem, or --pkcs11 URI")
    role = role or "signer"
    if uri is not None:
        record = keystore.add_token(name, uri, lambda place: token_public_key(place, lambda: ask_pin(name)), role)
    else:
        assert file is not None
        record = keystore.import_pem(name, file, role, passphrase_source(passphrase_file))
    _print_new(record, keystore, json_to)


@command.command("list")
@keys_option
@json_option
def list_(keystore: Keystore, json_to: str | None) -> None:
    """List the keys."""
    records = keystore.records()
    tables = [_as_dict(record, keystore) for record in records]
    if json_to:
        emit_json(tables, json_to)
        return
    if not records:
        note(f"no keys in {keystore.folder}")
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in ("name", "algorithm", "role", "kid", "state"):
        table.add_column(heading, no_wrap=True)
    for found in tables:
        table.add_row(*(found[column] for column in ("name", "algorithm", "role", "kid")), plain(_state(found)))
    print_table(table)


@command.command("export")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("--format", "form", type=click.Choice(_FORMS), default="pem", show_default=True, help="What to write.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="File; default: standard output.")
@keys_option
def export_(names: tuple[str, ...], form: str, output: Path | None, keystore: Keystore) -> None:
    """Write the public half of NAME: PEM, a COSE_Key, C constants (also of several keys), or JSON."""
    records = [keystore.get(name) for name in names]
    if len(records) > 1 and form != "c":
        raise UsageError(f"one {form} file holds one key", allowed="one NAME, or --format c")
    data = to_c(records).encode() if form == "c" else export(records[0], form)
    if output is not None:
        write_file(output, data)
        say(f"wrote {plain(shown(output))}")
    elif form != "cose":
        click.echo(data.decode(), nl=False)
    elif sys.stdout.isatty():
        raise UsageError("a COSE_Key is binary", hint="-o FILE")
    else:
        click.echo(data, nl=False)


@command.command("rotate")
@click.argument("name")
@click.option("--to", "successor", metavar="NAME", help="Name of the new key; default: NAME-2, and so on.")
@click.option("--passphrase", is_flag=True, help=f"Encrypt the new key; asked for, or {KEY_VARIABLE}.")
@passphrase_option
@pkcs11_option
@keys_option
@json_option
def rotate(
    name: str,
    successor: str | None,
    passphrase: bool,
    passphrase_file: Path | None,
    uri: str | None,
    keystore: Keystore,
    json_to: str | None,
) -> None:
    """Make a key that follows NAME. NAME keeps signing until it is revoked.

    Build firmware with both keys, update the fleet with NAME, then revoke NAME.
    """
    old = keystore.get(name)
    fresh = successor or keystore.next_name(name)
    if old.token is not None and uri is None:
        raise UsageError(f"{name!r} is on a token, and so its successor should be", hint="--pkcs11 URI")
    if uri is not None:
        record = keystore.add_token(
            fresh,
            uri,
            lambda place: generate_on_token(place, old.algorithm, lambda: ask_pin(fresh)),
            old.role,
            replaces=name,
        )
    else:
        wanted = passphrase or passphrase_file is not None or keystore.needs_passphrase(old)
        secret = passphrase_source(passphrase_file, new=True)(fresh) if wanted else None
        record = keystore.generate(fresh, old.algorithm, old.role, passphrase=secret, levels=old.levels, replaces=name)
    keystore.mark_replaced(name, fresh)
    _print_new(record, keystore, json_to)


@command.command("revoke")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("--root", metavar="NAME", help="The root key that signs; default: the only one.")
@click.option("--build", type=click.Path(path_type=Path), metavar="FOLDER", help="A build of the devices' firmware.")
@click.option("--vendor", metavar="DOMAIN", help="Without --build: whose devices are told.")
@click.option("--class", "class_text", metavar="TEXT", help="Without --build: which class of them; or a UUID.")
@click.option("--sequence", type=int, metavar="N", help="Above all earlier ones; default: seconds since 1970.")
@click.option("--local", is_flag=True, help="Revoke here alone: no manifest is made.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="A new folder; default: updates/revoke-NAME-N.")
@passphrase_option
@keys_option
@json_option
def revoke(
    names: tuple[str, ...],
    root: str | None,
    build: Path | None,
    vendor: str | None,
    class_text: str | None,
    sequence: int | None,
    local: bool,
    output: Path | None,
    passphrase_file: Path | None,
    keystore: Keystore,
    json_to: str | None,
) -> None:
    """Revoke NAME: nothing is signed with it any more, and devices are told to refuse it.

    The update that tells them is for the devices of one class, as all updates are, and signed with a root key.
    """
    records = [keystore.get(name) for name in names]
    facts: dict[str, Any] = {"revoked": list(names)}
    if not local:
        number = default_sequence() if sequence is None else sequence
        folder = output or Path("updates") / f"revoke-{names[0]}-{number}"
        check_output(folder)
        target = _target(build, vendor, class_text)
        record = choose_root(keystore, root, records)
        signer = keystore.signer(record, passphrase_source(passphrase_file), ask_pin)
        packed = pack_revocation(records, target, Signing(record.name, signer), number)
        write_pack(folder, packed)
        facts |= packed.facts | {"folder": str(folder)}
    for name in names:
        keystore.mark_revoked(name)
    if json_to:
        emit_json(facts, json_to)
        return
    say(f"revoked: {', '.join(names)}")
    if not local:
        say(f"tell the devices: tinyops update push {plain(shown(folder))}")


def _target(build: Path | None, vendor: str | None, class_text: str | None) -> Target:
    """The devices that are told of a revocation."""
    if build is not None:
        return read_target(build)
    project = find_project()
    if vendor is None and project is not None and project.update is not None:
        vendor = project.update.vendor
    if class_text is None or vendor is None:
        raise UsageError("no class of devices is named", allowed="--build FOLDER, or --vendor DOMAIN and --class TEXT")
    return Target.of_text(vendor, class_text)


def _print_new(record: KeyRecord, keystore: Keystore, json_to: str | None) -> None:
    if json_to:
        emit_json(_as_dict(record, keystore), json_to)
        return
    where = "on its token" if record.token else plain(shown(keystore.folder / record.name))
    say(f"{record.name}  {record.algorithm}, {record.role}, kid {record.kid}, {where}")


def _as_dict(record: KeyRecord, keystore: Keystore) -> dict[str, Any]:
    table = record.model_dump(mode="json", exclude={"version"})
    try:
        used = keystore.used_signatures(record)
    except TinyopsError as error:
        return table | {"unusable": error.what}
    return table if used is None else table | {"signatures_made": used[0], "signatures_possible": used[1]}


def _state(table: Mapping[str, Any]) -> str:
    """What became of a key, in words; `table` is that of _as_dict."""
    if table["revoked"] is not None:
        return f"revoked {table['revoked'][:10]}"
    words = [f"replaced by {table['replaced_by']}" if table["replaced_by"] else "active"]
    if table["token"] is not None:
        words.append("on a token")
    if "signatures_made" in table:
        words.append(f"{table['signatures_made']:,} of {table['signatures_possible']:,} signatures made")
    if "unusable" in table:
        words = [f"cannot sign: {table['unusable']}"]
    return ", ".join(words)
