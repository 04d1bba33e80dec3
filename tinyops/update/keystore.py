"""The folder of keys: one private folder for each key, with what is public about it in key.json.

    KEYS/NAME/key.json       algorithm, role, public key, what became of it
    KEYS/NAME/private.pem    Ed25519, ES256, ML-DSA: PKCS#8, with or without a passphrase
    KEYS/NAME/secret.json    HSS/LMS: seed, with or without a passphrase; state.json and tree-*.sig beside it.
                             aes-kw, ecdh-es: what devices decrypt with

A key on a PKCS#11 token has key.json alone, which names the token. Folders have mode 0700, files 0600; a key is there
as a whole or not at all.
"""

from __future__ import annotations

import difflib
import os
import re
import shutil
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import platformdirs
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tinyops.errors import MissingToolError, TinyopsError, UsageError
from tinyops.suit import keys as suit
from tinyops.suit.encryption import Recipient
from tinyops.suit.keys import KID_BYTES
from tinyops.update import hsslms, sealing
from tinyops.update.key_files import create_folder, locked, private_folder, read_private, write_private
from tinyops.update.pkcs11 import TokenSigner, TokenUri, parse_uri
from tinyops.update.signing import Algorithm, PublicKey, Signer, SoftwareSigner, generate_p256

KEYS_VARIABLE = "TINYOPS_KEYS"
Role = Literal["signer", "root", "decrypt"]
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,47}")
_NAME_ALLOWED = "a small letter or digit, then small letters, digits, '.', '_' and '-', 48 at most"
_RECORD, _PEM, _SECRET, _LOCK = "key.json", "private.pem", "secret.json", ".lock"
_SEED, _DECRYPT = "HSS/LMS seed", "decryption key"
_ROLES = {"signer": suit.Role.SIGNER, "root": suit.Role.ROOT, "decrypt": suit.Role.DECRYPT}

#: Asks for the passphrase of a key, by its name.
Passphrase = Callable[[str], bytes]


class KeyRecord(BaseModel):
    """What is known of a key without its private half; the content of key.json."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: Literal[1] = 1
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,47}$")
    algorithm: Algorithm
    role: Role
    public: str = Field(pattern=r"^([0-9a-f]{2}){32,2592}$|^$", description="raw public key; a secret key has none")
    kid: str = Field(pattern=r"^[0-9a-f]{16}$")
    created: datetime
    revoked: datetime | None = None
    replaces: str | None = Field(default=None, pattern=r"^[a-z0-9][a-z0-9._-]{0,47}$")
    replaced_by: str | None = Field(default=None, pattern=r"^[a-z0-9][a-z0-9._-]{0,47}$")
    token: str | None = Field(default=None, max_length=1024, description="PKCS#11 URI of the private key")

    @property
    def public_key(self) -> PublicKey:
        return PublicKey(self.algorithm, bytes.fromhex(self.public))

    @property
    def key(self) -> suit.Key:
        """The public key as a device holds it."""
        return self.public_key.key(_ROLES[self.role], revoked=self.revoked is not None)

    @property
    def levels(self) -> int:
        """Levels of trees of an HSS/LMS key; of others what a new one would have."""
        return int(self.public[:8], 16) if self.algorithm.stateful else 2

    def to_json(self) -> bytes:
        return (self.model_dump_json(indent=2, exclude_none=True) + "\n").encode()


class Keystore:
    """The keys below one folder."""

    def __init__(self, folder: Path | None = None, witness: Path | None = None) -> None:
        self.folder = folder or default_folder()
        self._witness = witness or platformdirs.user_state_path("tinyops") / "hsslms"

    # -- looking up ---------------------------------------------------------------------------------------------

    def records(self) -> list[KeyRecord]:
        """All keys, by name."""
        if not self.folder.is_dir():
            return []
        names = sorted(path.name for path in self.folder.iterdir() if _NAME.fullmatch(path.name) and path.is_dir())
        return [self.get(name) for name in names]

    def get(self, name: str) -> KeyRecord:
        """The key called `name`; TinyopsError names those that look like it."""
        _check_name(name)
        if not (self.folder / name / _RECORD).exists():
            known = self._names()
            near = difflib.get_close_matches(name, known, n=3) or known[:5]
            raise TinyopsError(
                f"there is no key {name!r} in {self.folder}",
                allowed=", ".join(near) or None,
                hint="tinyops keys list" if known else f"tinyops keys generate {name}",
            )
        return self._read(name)

    def choose(self, name: str | None) -> KeyRecord:
        """The named key, or the only one that signs updates; TinyopsError when there is none, or several."""
        if name is not None:
            return self.get(name)
        found = [record for record in self.trusted() if record.role == "signer"]
        if len(found) == 1:
            return found[0]
        if not found:
            what = f"there is no key that signs updates in {self.folder}"
            raise TinyopsError(what, hint="tinyops keys generate NAME")
        names = ", ".join(record.name for record in found)
        raise UsageError("several keys could sign", allowed=names, hint=f"--key {found[-1].name}")

    def find(self, kid: bytes) -> KeyRecord | None:
        """The key with this identifier, if it is here."""
        return next((record for record in self.records() if record.kid == kid.hex()), None)

    def trusted(self) -> list[KeyRecord]:
        """The keys that sign and are not revoked: those that a device should be built with."""
        return [record for record in self.records() if record.revoked is None and not record.algorithm.decrypts]

    def verification_keys(self) -> list[suit.Key]:
        """The public keys that signatures are verified with; revoked ones are marked."""
        return [record.key for record in self.records() if not record.algorithm.decrypts]

    def names(self) -> dict[bytes, str]:
        """Key identifier -> name."""
        return {bytes.fromhex(record.kid): record.name for record in self.records()}

    def used_signatures(self, record: KeyRecord) -> tuple[int, int] | None:
        """(made, possible) signatures of a stateful key; None for others."""
        if not record.algorithm.stateful:
            return None
        return self._state(record).used(), hsslms.CAPACITY[record.levels]

    # -- making ---------------------------------------------------------------------------------------------

    def generate(
        self,
        name: str,
        algorithm: Algorithm = Algorithm.ED25519,
        role: Role = "signer",
        *,
        passphrase: bytes | None = None,
        levels: int = 2,
        replaces: str | None = None,
    ) -> KeyRecord:
        """A new key. `levels` (1: 32 signatures, 2: 1,024) is for HSS/LMS."""
        self._check_free(name)
        if (role == "decrypt") != algorithm.decrypts:
            raise UsageError(f"{algorithm} keys cannot have the role {role}", allowed="decrypt: aes-kw, ecdh-es")
        if algorithm.decrypts:
            return self._generate_decrypting(name, algorithm, passphrase, replaces)
        if algorithm is Algorithm.HSSLMS:
            secret = hsslms.generate_secret()
            public, files = hsslms.public_key(secret, levels), {_SECRET: sealing.seal(secret, passphrase, _SEED)}
        else:
            signer = SoftwareSigner.generate(algorithm)
            public, files = signer.public, {_PEM: signer.to_pem(passphrase)}
        return self._create(name, public, role, files, replaces=replaces)

    def _generate_decrypting(
        self, name: str, algorithm: Algorithm, passphrase: bytes | None, replaces: str | None
    ) -> KeyRecord:
        secret, public, kid = os.urandom(16), b"", os.urandom(KID_BYTES)
        if algorithm is Algorithm.ECDH_ES:
            secret, public = generate_p256()
            kid = PublicKey(algorithm, public).kid
        sealed = sealing.seal(secret, passphrase, _DECRYPT)
        return self._store(name, algorithm, public, kid, "decrypt", {_SECRET: sealed}, replaces=replaces)

    def import_pem(self, name: str, file: Path, role: Role, passphrase: Passphrase) -> KeyRecord:
        """Take over a private key from a PEM file; `passphrase` is asked when the file has one, and stays the key's."""
        self._check_free(name)
        pem = read_private(file)
        secret = passphrase(str(file)) if b"ENCRYPTED" in pem else None
        signer = SoftwareSigner.from_pem(pem, secret, str(file))
        return self._create(name, signer.public, role, {_PEM: signer.to_pem(secret)})

    def add_token(
        self,
        name: str,
        uri: str,
        public: Callable[[TokenUri], PublicKey],
        role: Role,
        *,
        replaces: str | None = None,
    ) -> KeyRecord:
        """Note a key whose private half is on a PKCS#11 token; `public` finds it there, or makes it."""
        self._check_free(name)
        return self._create(name, public(parse_uri(uri)), role, {}, token=uri, replaces=replaces)

    def _check_free(self, name: str) -> None:
        _check_name(name)
        private_folder(self.folder)
        if (self.folder / name).exists():
            raise TinyopsError("exists already", where=str(self.folder / name), allowed="another name")

    def _create(
        self,
        name: str,
        public: PublicKey,
        role: Role,
        files: dict[str, bytes],
        *,
        token: str | None = None,
        replaces: str | None = None,
    ) -> KeyRecord:
        return self._store(name, public.algorithm, public.raw, public.kid, role, files, token=token, replaces=replaces)

    def _store(
        self,
        name: str,
        algorithm: Algorithm,
        public: bytes,
        kid: bytes,
        role: Role,
        files: dict[str, bytes],
        *,
        token: str | None = None,
        replaces: str | None = None,
    ) -> KeyRecord:
        known = self.find(kid)
        if known is not None:
            raise TinyopsError(f"the key is here already, as {known.name!r}", where=str(self.folder))
        record = KeyRecord(
            name=name,
            algorithm=algorithm,
            role=role,
            public=public.hex(),
            kid=kid.hex(),
            created=_now(),
            token=token,
            replaces=replaces,
        )
        create_folder(self.folder / name, files | {_RECORD: record.to_json()})
        if algorithm.stateful:
            self._begin_state(record)
        return record

    def _begin_state(self, record: KeyRecord) -> None:
        try:
            self._state(record).create()
        except BaseException:
            shutil.rmtree(self.folder / record.name, ignore_errors=True)
            raise

    def _state(self, record: KeyRecord) -> hsslms.State:
        capacity = hsslms.CAPACITY[record.levels]
        return hsslms.State(self.folder / record.name, self._witness, bytes.fromhex(record.kid), capacity)

    # -- using ---------------------------------------------------------------------------------------------

    def needs_passphrase(self, record: KeyRecord) -> bool:
        """Whether the private key is encrypted."""
        if record.token is not None:
            return False
        if record.algorithm is Algorithm.HSSLMS or record.algorithm.decrypts:
            return sealing.is_sealed(read_private(self.folder / record.name / _SECRET))
        return b"ENCRYPTED" in read_private(self.folder / record.name / _PEM)

    def signer(self, record: KeyRecord, passphrase: Passphrase | None = None, pin: Passphrase | None = None) -> Signer:
        """What signs with the key; TinyopsError for a revoked one. `passphrase` and `pin` are asked when needed."""
        self._refuse_revoked(record)
        if record.algorithm.decrypts:
            raise TinyopsError(f"the key {record.name!r} is for decryption", allowed="a key that signs")
        folder = self.folder / record.name
        private_folder(folder)
        public = record.public_key
        if record.token is not None:
            return TokenSigner(record.token, public, lambda: pin(record.name) if pin else b"")
        secret = passphrase(record.name) if passphrase is not None and self.needs_passphrase(record) else None
        if record.algorithm is Algorithm.HSSLMS:
            file = folder / _SECRET
            seed = sealing.unseal(read_private(file), secret, _SEED, str(file))
            return hsslms.HssSigner(seed, public, folder, self._witness)
        file = folder / _PEM
        signer = SoftwareSigner.from_pem(read_private(file), secret, str(file))
        if signer.public != public:
            raise TinyopsError("holds another key than key.json says", where=str(file))
        return signer

    def device_keys(self, names: Sequence[str] | None = None, passphrase: Passphrase | None = None) -> list[suit.Key]:
        """What a device is built with: the named keys, or all that are not revoked; public ones, and those it decrypts
        with. The keys that no device verifies yet are left out."""
        every = [record for record in self.records() if record.revoked is None]
        records = every if names is None else [self.get(name) for name in names]
        return [
            self._decryption_key(record, passphrase) if record.algorithm.decrypts else record.key
            for record in records
            if not record.algorithm.experimental
        ]

    def _refuse_revoked(self, record: KeyRecord) -> None:
        if record.revoked is not None:
            hint = f"--key {record.replaced_by}" if record.replaced_by else "tinyops keys list"
            raise TinyopsError(f"the key {record.name!r} was revoked {record.revoked:%Y-%m-%d}", hint=hint)

    def recipient(self, record: KeyRecord, passphrase: Passphrase | None = None) -> Recipient:
        """For whom a payload is encrypted: the devices that have this key. TinyopsError for a revoked one."""
        self._refuse_revoked(record)
        if record.algorithm is Algorithm.ECDH_ES:
            return Recipient(record.algorithm.cose, bytes.fromhex(record.public), bytes.fromhex(record.kid))
        if record.algorithm is not Algorithm.AES_KW:
            raise TinyopsError(f"the key {record.name!r} is for signatures", allowed="a key of aes-kw or ecdh-es")
        key = self._decryption_key(record, passphrase)
        return Recipient(key.algorithm, key.material, key.kid)

    def _decryption_key(self, record: KeyRecord, passphrase: Passphrase | None) -> suit.Key:
        file = self.folder / record.name / _SECRET
        asked = passphrase(record.name) if passphrase is not None and self.needs_passphrase(record) else None
        material = sealing.unseal(read_private(file), asked, _DECRYPT, str(file))
        if len(material) != (16 if record.algorithm is Algorithm.AES_KW else 32):
            raise TinyopsError("is damaged", where=str(file), allowed="what `tinyops keys` wrote")
        return suit.Key(record.algorithm.cose, material, bytes.fromhex(record.kid), suit.Role.DECRYPT)

    # -- the end of a key ---------------------------------------------------------------------------------------

    def next_name(self, name: str) -> str:
        """The name of a key that replaces `name`: release -> release-2 -> release-3."""
        found = re.fullmatch(r"(.*?)-(\d{1,4})", name)
        stem, number = (found[1], int(found[2])) if found else (name, 1)
        while (self.folder / f"{stem}-{number + 1}").exists():
            number += 1
        return f"{stem}-{number + 1}"

    def mark_replaced(self, name: str, successor: str) -> KeyRecord:
        """Note which key follows; `name` still signs until it is revoked."""
        return self._change(name, replaced_by=successor)

    def mark_revoked(self, name: str) -> KeyRecord:
        """No signature is made with `name` any more. What it signed is refused by devices that were told."""
        record = self.get(name)
        return record if record.revoked else self._change(name, revoked=_now())

    def _change(self, name: str, **values: object) -> KeyRecord:
        with locked(self.folder / _LOCK):
            record = self.get(name).model_copy(update=values)
            write_private(self.folder / name / _RECORD, record.to_json())
        return record

    def _names(self) -> list[str]:
        if not self.folder.is_dir():
            return []
        return sorted(path.parent.name for path in self.folder.glob(f"*/{_RECORD}"))

    def _read(self, name: str) -> KeyRecord:
        file = self.folder / name / _RECORD
        private_folder(self.folder)
        try:
            record = KeyRecord.model_validate_json(read_private(file))
            if record.name != name or (record.algorithm is Algorithm.AES_KW) != (record.public == ""):
                raise ValueError
            if record.public and record.public_key.kid.hex() != record.kid:
                raise ValueError
        except MissingToolError:
            raise
        except (ValidationError, ValueError, TinyopsError) as error:
            if isinstance(error, TinyopsError) and error.where:
                raise
            raise TinyopsError("is damaged", where=str(file), allowed="what `tinyops keys` wrote") from error
        return record


def default_folder() -> Path:
    """TINYOPS_KEYS, else the user's data folder."""
    named = os.environ.get(KEYS_VARIABLE)
    return Path(named) if named else platformdirs.user_data_path("tinyops") / "keys"


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise UsageError(f"{name!r:.80} is no name of a key", allowed=_NAME_ALLOWED)


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)
