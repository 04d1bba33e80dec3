"""The fleet's tables. Times are seconds since 1970 (UTC); digests are raw bytes; sequences fit 32 bits."""

from __future__ import annotations

import uuid
from typing import Any

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, Integer, LargeBinary, String, Text, UniqueConstraint, Uuid
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

#: Raised with every change of a table; a database of another version is refused.
SCHEMA_VERSION = 1


class Base(DeclarativeBase):
    """The declarative base of all tables."""


class SchemaVersion(Base):
    """One row: the version of the tables."""

    __tablename__ = "tinyops_schema"

    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)


class Device(Base):
    """A device and what it said last. `id` is the text form of registry.device_name."""

    __tablename__ = "devices"

    id: Mapped[str] = mapped_column(String(66), primary_key=True)
    class_id: Mapped[uuid.UUID | None] = mapped_column(Uuid, index=True)
    board: Mapped[str | None] = mapped_column(String(64))
    added: Mapped[float]
    last_seen: Mapped[float | None]
    address: Mapped[str | None] = mapped_column(String(80))
    sequence: Mapped[int] = mapped_column(BigInteger, default=0)
    digest: Mapped[bytes | None] = mapped_column(LargeBinary(32))
    state: Mapped[str] = mapped_column(String(12), default="idle")
    reason: Mapped[int] = mapped_column(default=0)
    attempt: Mapped[int] = mapped_column(BigInteger, default=0)
    firmware: Mapped[str | None] = mapped_column(String(64))
    inferences: Mapped[int | None] = mapped_column(BigInteger)
    score: Mapped[int | None]
    #: It has used its security context once, and must since; otherwise any sender may speak for it.
    protected: Mapped[bool] = mapped_column(default=False)

    tags: Mapped[list[Tag]] = relationship(cascade="all, delete-orphan", order_by="Tag.tag")

    @property
    def tag_names(self) -> list[str]:
        return [tag.tag for tag in self.tags]


class Tag(Base):
    """A word on a device."""

    __tablename__ = "device_tags"

    device_id: Mapped[str] = mapped_column(ForeignKey("devices.id", ondelete="CASCADE"), primary_key=True)
    tag: Mapped[str] = mapped_column(String(48), primary_key=True, index=True)


class Refusal(Base):
    """A sequence number that a device has undone or refused for good: it is not offered to it again."""

    __tablename__ = "refusals"

    device_id: Mapped[str] = mapped_column(ForeignKey("devices.id", ondelete="CASCADE"), primary_key=True)
    sequence: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    reason: Mapped[int]
    time: Mapped[float]


class Report(Base):
    """What a device said when something had changed; the newest of each device are kept."""

    __tablename__ = "reports"

    id: Mapped[int] = mapped_column(primary_key=True)
    device_id: Mapped[str] = mapped_column(ForeignKey("devices.id", ondelete="CASCADE"), index=True)
    time: Mapped[float]
    sequence: Mapped[int] = mapped_column(BigInteger)
    state: Mapped[str] = mapped_column(String(12))
    attempt: Mapped[int] = mapped_column(BigInteger)
    reason: Mapped[int]
    digest: Mapped[bytes] = mapped_column(LargeBinary(32))
    data: Mapped[bytes | None] = mapped_column(LargeBinary)


class Bundle(Base):
    """A published update; `id` is the SHA-256 of its manifest, in hexadecimal digits."""

    __tablename__ = "bundles"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    name: Mapped[str] = mapped_column(String(48))
    component: Mapped[str] = mapped_column(String(48))
    sequence: Mapped[int] = mapped_column(BigInteger)
    class_id: Mapped[uuid.UUID | None] = mapped_column(Uuid)
    digest: Mapped[bytes | None] = mapped_column(LargeBinary(32))
    published: Mapped[float]
    #: When it was taken back: its files are gone, its campaigns stay on record.
    withdrawn: Mapped[float | None]

    files: Mapped[list[BundleFile]] = relationship(cascade="all, delete-orphan", order_by="BundleFile.name")

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files)

    @property
    def path(self) -> str:
        """The path of its manifest on the server."""
        return f"/b/{self.id[:16]}/{MANIFEST}"


#: The name of a bundle's manifest.
MANIFEST = "manifest.suit"


class BundleFile(Base):
    """A file of a bundle; its content is in the store under its digest."""

    __tablename__ = "bundle_files"

    bundle_id: Mapped[str] = mapped_column(ForeignKey("bundles.id", ondelete="CASCADE"), primary_key=True)
    name: Mapped[str] = mapped_column(String(80), primary_key=True)
    digest: Mapped[bytes] = mapped_column(LargeBinary(32))
    size: Mapped[int] = mapped_column(BigInteger)
    #: The path by which the manifest names it, without the first slash; none for the manifest itself.
    path: Mapped[str | None] = mapped_column(String(127), index=True)


class Campaign(Base):
    """A rollout of one bundle to a cohort. `version` makes every change of a row compare-and-swap."""

    __tablename__ = "campaigns"

    name: Mapped[str] = mapped_column(String(48), primary_key=True)
    bundle_id: Mapped[str] = mapped_column(ForeignKey("bundles.id"), index=True)
    state: Mapped[str] = mapped_column(String(12), index=True)
    reason: Mapped[str] = mapped_column(Text, default="")
    #: The newest wave that is open; -1 before the start.
    wave: Mapped[int] = mapped_column(default=-1)
    devices: Mapped[int] = mapped_column(default=0)
    created: Mapped[float]
    started: Mapped[float | None]
    deadline: Mapped[float | None]
    #: Plan.as_dict() of campaign.py: cohort, waves, gates, approval, time to live.
    plan: Mapped[dict[str, Any]] = mapped_column(JSON)
    version: Mapped[int] = mapped_column(Integer)

    bundle: Mapped[Bundle] = relationship(lazy="joined", innerjoin=True)
    waves: Mapped[list[Wave]] = relationship(
        cascade="all, delete-orphan", order_by="Wave.number", back_populates="campaign"
    )

    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012  # SQLAlchemy reads it


class Wave(Base):
    """A step of a campaign: the devices of rank < `target` that are in no wave before."""

    __tablename__ = "waves"

    campaign_name: Mapped[str] = mapped_column(ForeignKey("campaigns.name", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    label: Mapped[str] = mapped_column(String(16))
    target: Mapped[int]
    opened: Mapped[float | None]
    passed: Mapped[float | None]
    #: A person resumed the campaign although this wave's gates failed.
    waived: Mapped[bool] = mapped_column(default=False)

    campaign: Mapped[Campaign] = relationship(back_populates="waves")


class Assignment(Base):
    """A device's part in a campaign."""

    __tablename__ = "assignments"

    campaign_name: Mapped[str] = mapped_column(ForeignKey("campaigns.name", ondelete="CASCADE"), primary_key=True)
    device_id: Mapped[str] = mapped_column(String(66), primary_key=True)
    wave: Mapped[int]
    rank: Mapped[int]
    status: Mapped[str] = mapped_column(String(12))
    reason: Mapped[int] = mapped_column(default=0)
    tries: Mapped[int] = mapped_column(default=0)
    offered: Mapped[float | None]
    finished: Mapped[float | None]
    #: The device's health score before and after the update, 0 to 1000.
    score_before: Mapped[int | None]
    score_after: Mapped[int | None]

    __table_args__ = (
        UniqueConstraint("campaign_name", "rank"),
        Index("assignments_device", "device_id", "status"),
        Index("assignments_wave", "campaign_name", "wave", "status"),
    )


class AuditEntry(Base):
    """An entry of the audit log (audit.py); `details` is canonical JSON, the hashes are hexadecimal digits."""

    __tablename__ = "audit"

    number: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    time: Mapped[str] = mapped_column(String(32))
    actor: Mapped[str] = mapped_column(String(120))
    action: Mapped[str] = mapped_column(String(48))
    details: Mapped[str] = mapped_column(Text)
    previous: Mapped[str] = mapped_column(String(64))
    hash: Mapped[str] = mapped_column(String(64), unique=True)
