"""What verbs that use keys share: the keystore, and where passphrases and PINs come from."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click

from tinyops.cli.common import plain
from tinyops.errors import UsageError
from tinyops.update.key_files import read_private
from tinyops.update.keystore import Keystore, Passphrase
from tinyops.update.pkcs11 import PIN_VARIABLE

F = TypeVar("F", bound=Callable[..., object])

KEY_VARIABLE = "TINYOPS_KEY_PASSPHRASE"

keys_option = click.option(
    "--keys",
    "keystore",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    callback=lambda _context, _parameter, value: Keystore(value),
    help="Folder of keys; default: TINYOPS_KEYS, or a folder of the user's.",
)
passphrase_option = click.option(
    "--passphrase-file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help=f"File of mode 600 with the key's passphrase; also {KEY_VARIABLE}; else it is asked for.",
)


def passphrase_source(file: Path | None, *, new: bool = False) -> Passphrase:
    """Gives the passphrase of the key that it is called with; `new` ones are asked for twice."""

    def ask(name: str) -> bytes:
        if file is not None:
            return _not_empty(read_private(file).rstrip(b"\r\n"), str(file))
        if KEY_VARIABLE in os.environ:
            return _not_empty(os.environ[KEY_VARIABLE].encode(), KEY_VARIABLE)
        what = f"new passphrase of {name}" if new else f"passphrase of {name}"
        return _prompt(what, f"{KEY_VARIABLE}, or --passphrase-file FILE", twice=new)

    return ask


def ask_pin(name: str) -> bytes:
    """The PIN of the token that holds the key `name`, from the person."""
    return _prompt(f"PIN of the token of {name}", f"{PIN_VARIABLE}, or pin-source=file:... in the key's URI")


def _prompt(what: str, otherwise: str, *, twice: bool = False) -> bytes:
    if not sys.stdin.isatty():
        raise UsageError(f"the {what} is needed, and there is no terminal to ask at", allowed=otherwise)
    text: str = click.prompt(plain(what[0].upper() + what[1:]), hide_input=True, confirmation_prompt=twice, err=True)
    return text.encode()


def _not_empty(secret: bytes, where: str) -> bytes:
    if not secret:
        raise UsageError("the passphrase is empty", where=where)
    return secret
