"""The update journal of a device, read and written from outside: records of firmware/common's to_journal.c."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, replace
from enum import IntEnum

RECORD_BYTES = 160
FACTORY = 0xFF
BANKS = 2
_MAGIC = b"TOJ1"
_HALF = 1 << 31
#: A device that runs on while this is written may append some records; those stay older.
_AHEAD = 16
_FIXED = struct.Struct("<4sI6B2x4I3I")
_IMAGE = struct.Struct("<II32s")
_CRC = struct.Struct("<I")


class State(IntEnum):
    EMPTY, DOWNLOAD, PENDING, TRY, CONFIRMED, REVERTED = range(6)


@dataclass(frozen=True, slots=True)
class Image:
    """What a bank holds: 0 bytes say nothing that is to be trusted."""

    nbytes: int = 0
    sequence: int = 0
    digest: bytes = bytes(32)


@dataclass(frozen=True, slots=True)
class Record:
    """The fields of `to_record`."""

    generation: int = 0
    state: State = State.EMPTY
    bank: int = 0
    tries: int = 0
    reason: int = 0
    confirmed: int = FACTORY
    flags: int = 0
    sequences: tuple[int, ...] = (0, 0, 0, 0)
    attempt: int = 0
    revoked: int = 0
    offset: int = 0
    images: tuple[Image, ...] = (Image(), Image())
    manifest: bytes = bytes(32)

    def encode(self) -> bytes:
        small = (self.state, self.bank, self.tries, self.reason, self.confirmed, self.flags)
        large = (*self.sequences, self.attempt, self.revoked, self.offset)
        body = _FIXED.pack(_MAGIC, self.generation, *small, *large)
        body += b"".join(_IMAGE.pack(image.nbytes, image.sequence, image.digest) for image in self.images)
        body += self.manifest
        return body + _CRC.pack(zlib.crc32(body))

    @classmethod
    def decode(cls, raw: bytes) -> Record | None:
        """The record that begins `raw`, or None where there is no sound one."""
        if len(raw) < RECORD_BYTES or raw[:4] != _MAGIC:
            return None
        body, crc = raw[: RECORD_BYTES - 4], _CRC.unpack_from(raw, RECORD_BYTES - 4)[0]
        _, generation, state, bank, tries, reason, confirmed, flags, *large = _FIXED.unpack_from(raw)
        sound = state <= State.REVERTED and bank < BANKS and (confirmed < BANKS or confirmed == FACTORY)
        if zlib.crc32(body) != crc or not sound or raw[14:16] != bytes(2):
            return None
        images = tuple(Image(*_IMAGE.unpack_from(raw, _FIXED.size + i * _IMAGE.size)) for i in range(BANKS))
        start = _FIXED.size + BANKS * _IMAGE.size
        return cls(
            generation, State(state), bank, tries, reason, confirmed, flags,
            tuple(large[:4]), large[4], large[5], large[6], images, raw[start : start + 32],
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Journal:
    """The newest record of both pages, and the page that must not be erased because it holds it."""

    newest: Record
    kept: int
    write_bytes: int
    page_bytes: int
    erased: int

    @classmethod
    def scan(cls, pages: bytes, page_bytes: int, write_bytes: int, erased: int = 0xFF) -> Journal:
        """What `to_journal_scan` finds in both pages, one after the other; `erased` is the value of erased bytes."""
        slot = _slot_bytes(write_bytes)
        found = [0, 0]
        newest, kept, order, sealed = Record(), 1, 0, True
        for page in range(2):
            for at in range(page * page_bytes, (page + 1) * page_bytes - slot + 1, slot):
                record = Record.decode(pages[at : at + slot])
                if record is None:
                    continue
                found[page] += 1
                ahead = (record.generation - newest.generation) % (1 << 32)
                if order == 0 or 0 < ahead < _HALF:
                    newest, kept, order = record, page, found[page]
                    sealed = pages[at + slot - write_bytes : at + slot] != bytes((erased,)) * write_bytes
        if not sealed and order == 1 and found[kept ^ 1]:
            kept ^= 1
        return cls(newest, kept, write_bytes, page_bytes, erased)

    def append(self, record: Record) -> tuple[int, bytes]:
        """The page to be erased and what it then holds: `record`, sealed, as the newest of all.

        The sequence numbers and the revoked keys of the newest record stay, whatever `record` has.
        """
        old = self.newest
        generation = (old.generation + _AHEAD) % (1 << 32)
        kept = replace(record, sequences=old.sequences, revoked=old.revoked, generation=generation)
        padded = -(-RECORD_BYTES // self.write_bytes) * self.write_bytes
        empty, seal = bytes((self.erased,)), bytes((self.erased ^ 0xFF,))
        page = kept.encode().ljust(padded, empty) + seal * self.write_bytes
        return self.kept ^ 1, page.ljust(self.page_bytes, empty)


def _slot_bytes(write_bytes: int) -> int:
    return -(-RECORD_BYTES // write_bytes) * write_bytes + write_bytes
