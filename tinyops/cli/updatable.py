"""The options of `tinyops build` that make firmware updatable, and the table [update] of tinyops.toml."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

import click

from tinyops.device.crypto import ALGORITHMS, CryptoAlgorithm
from tinyops.device.project import Project, UpdateTable
from tinyops.device.update import UpdateKey, UpdateSettings
from tinyops.errors import UsageError

F = TypeVar("F", bound=Callable[..., object])


class _Algorithms(click.ParamType[tuple[str, ...]]):
    name = "list"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        chosen = tuple(dict.fromkeys(value.split(",") if isinstance(value, str) else value))
        unknown = [name for name in chosen if name not in ALGORITHMS]
        if unknown or not chosen:
            self.fail(f"{', '.join(unknown) or 'none'}; allowed: {', '.join(ALGORITHMS)}", param, ctx)
        return chosen


@dataclass(frozen=True, slots=True)
class UpdateOptions:
    """What was given on the command line; None for what was not."""

    updatable: bool | None
    keys: tuple[str, ...]
    keystore: Path | None
    bank_bytes: int | None
    health_window: int | None
    vendor: str | None
    sequence: int | None
    algorithms: tuple[str, ...] | None
    server: str | None = None


_OPTIONS = (
    click.option(
        "--updatable/--not-updatable",
        default=None,
        help="Whether the firmware takes signed updates of the model; default: with a table [update] in tinyops.toml.",
    ),
    click.option(
        "--update-key",
        "update_keys",
        multiple=True,
        metavar="KEY",
        help="A key that updates are signed with: its name in the keystore, or a PEM file with a public key. "
        "Can be repeated; default: all keys of the keystore.",
    ),
    click.option(
        "--keys",
        "keystore",
        type=click.Path(path_type=Path),
        metavar="FOLDER",
        help="Folder of keys; default: TINYOPS_KEYS, or a folder of the user's.",
    ),
    click.option(
        "--bank-bytes",
        type=click.IntRange(1, 1 << 28),
        help="Room for a model in each of the two banks; default: a quarter more than the model needs.",
    ),
    click.option(
        "--health-window",
        type=click.IntRange(0, 255),
        help="Inferences before a new model is confirmed; default: 8.",
    ),
    click.option("--vendor", metavar="DOMAIN", help="Whose devices these are; default: tinyops.example."),
    click.option(
        "--sequence",
        type=click.IntRange(0, 2**32 - 2),
        help="Sequence number of this model: updates must have a higher one; default: 0.",
    ),
    click.option(
        "--update-algorithms",
        type=_Algorithms(),
        help=f"What the device can verify and decrypt, of {','.join(ALGORITHMS)}; default: what the keys need.",
    ),
    click.option(
        "--update-server",
        metavar="URI",
        help="coap://HOST[:PORT], which firmware on RIOT with a network asks for updates; default: updates are pushed.",
    ),
)


def update_options(function: F) -> F:
    """Give a command the options, as the one argument `update` of type UpdateOptions."""

    @functools.wraps(function)
    def collected(**arguments: Any) -> object:
        names = ("updatable", "update_keys", "keystore", "bank_bytes", "health_window", "vendor", "sequence")
        values = [arguments.pop(name) for name in (*names, "update_algorithms", "update_server")]
        return function(update=UpdateOptions(*values), **arguments)

    made: Any = collected
    for option in reversed(_OPTIONS):
        made = option(made)
    return cast("F", made)


def resolve_update(options: UpdateOptions, project: Project | None) -> UpdateSettings | None:
    """How the firmware is updatable, or None: options come before the project file's table."""
    table = project.update if project else None
    if not (options.updatable if options.updatable is not None else table is not None or bool(options.keys)):
        return None
    table = table or UpdateTable()
    folder = project.file.parent if project else Path()
    names = options.keys or tuple(table.keys or ())
    keys = _load_keys(names, options.keystore, Path() if options.keys else folder)
    algorithms = cast("tuple[CryptoAlgorithm, ...]", options.algorithms or table.algorithms or _needed(keys))
    settings = UpdateSettings(
        keys=keys,
        vendor=options.vendor or table.vendor,
        sequence=_first(options.sequence, table.sequence),
        bank_bytes=options.bank_bytes or table.bank_bytes,
        health_window=_first(options.health_window, table.health_window),
        algorithms=algorithms,
        server=options.server or table.server,
        check_in_seconds=table.check_in_seconds,
    )
    settings.check()
    return settings


def _first(given: int | None, otherwise: int) -> int:
    return otherwise if given is None else given


def _load_keys(names: tuple[str, ...], keystore: Path | None, folder: Path) -> tuple[UpdateKey, ...]:
    from tinyops.cli.key_options import passphrase_source
    from tinyops.update.keystore import Keystore

    store, ask = Keystore(keystore), passphrase_source(None)
    if names:
        return tuple(_load_key(name, store, folder, ask) for name in names)
    keys = tuple(_key_of(key) for key in store.device_keys(None, ask))
    if not any(key.role == "signer" for key in keys):
        what = f"there is no key that signs updates in {store.folder}"
        raise UsageError(what, hint="tinyops keys generate NAME, or --update-key FILE.pem")
    return keys


def _load_key(name: str, store: Any, folder: Path, ask: Callable[[str], bytes]) -> UpdateKey:
    from tinyops.update.verifiers import read_public_key

    path = folder / name
    if path.is_file() or "/" in name or name.endswith(".pem"):
        public = read_public_key(path)
        if public.algorithm.experimental:
            raise _unsupported(public.algorithm)
        return _key_of(public.key())
    record = store.get(name)
    if record.revoked is not None:
        raise UsageError(f"the key {name} was revoked", allowed="a key that is not", hint="tinyops keys list")
    if record.algorithm.experimental:
        raise _unsupported(record.algorithm)
    return _key_of(*store.device_keys([name], ask))


def _unsupported(algorithm: str) -> UsageError:
    return UsageError(f"no device verifies {algorithm} yet", allowed="ed25519, es256 and hsslms keys")


def _key_of(key: Any) -> UpdateKey:
    role: Any = key.roles.name.lower()
    return UpdateKey(int(key.algorithm), key.material, key.kid, role)


def _needed(keys: tuple[UpdateKey, ...]) -> tuple[str, ...]:
    names = {-19: {"ed25519"}, -9: {"es256"}, -46: {"hsslms"}, -3: {"aes"}, -29: {"aes", "es256"}}
    return tuple(sorted(set().union(*(names[key.algorithm] for key in keys)))) or ("ed25519",)
