"""The fleet's database: SQLite by default, PostgreSQL by URL, shared by any number of processes.

Reads and writes are transactions of their own. A write on SQLite takes the database's lock at its start, one on
PostgreSQL locks the rows it reads, always in the order device, campaigns, assignments, audit log.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinyops.errors import MissingToolError, TinyopsError, UsageError

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine
    from sqlalchemy.engine import URL
    from sqlalchemy.orm import Session

#: Where a fleet is when nobody says.
DEFAULT_DATABASE = "fleet/fleet.db"
_BUSY_SECONDS = 30
_WRITES = "tinyops_writes"
#: Key of PostgreSQL's advisory lock for the creation of the tables.
_SCHEMA_LOCK = 0x746F7001
_ALLOWED = "a file's name, sqlite:///FILE or postgresql://USER@HOST/NAME"


class FleetError(TinyopsError):
    """The fleet's database or store cannot do what was asked."""


class Database:
    """An open database whose tables are of this program's version."""

    def __init__(self, engine: Engine, name: str) -> None:
        from sqlalchemy.orm import sessionmaker

        self.name = name
        self.postgres = engine.dialect.name == "postgresql"
        self._engine = engine
        self._read = sessionmaker(engine, expire_on_commit=False)
        self._write = sessionmaker(engine.execution_options(**{_WRITES: True}), expire_on_commit=False)

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A transaction that changes nothing."""
        with _errors(self.name), self._read() as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A transaction: all of it is committed at the end, or nothing when the block raises."""
        with _errors(self.name), self._write.begin() as session:
            yield session

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()


def open_database(where: str | None = None, *, create: bool = False) -> Database:
    """The database at `where`: a URL or a file's name; without one TINYOPS_DATABASE, else fleet/fleet.db.

    With `create` a database without tables gets them. FleetError when it cannot be opened, has no tables,
    or tables of another version or of another program.
    """
    url = _url(where or os.environ.get("TINYOPS_DATABASE") or DEFAULT_DATABASE)
    name = url.render_as_string(hide_password=True)
    if url.get_backend_name() == "sqlite":
        name = url.database or name
        _check_file(Path(name), create)
    engine = _engine(url)
    try:
        database = Database(engine, name)
        with _errors(name):
            _prepare(engine, name, create)
    except BaseException:
        engine.dispose()
        raise
    return database


def _url(where: str) -> URL:
    try:
        from sqlalchemy.engine import URL, make_url
        from sqlalchemy.exc import ArgumentError
    except ImportError as error:
        raise MissingToolError("SQLAlchemy is not installed", hint="pip install 'tinyops[update]'") from error
    if "://" not in where:
        return URL.create("sqlite", database=where)
    try:
        url = make_url(where)
    except (ArgumentError, ValueError) as error:
        raise UsageError("the database's URL cannot be read", allowed=_ALLOWED) from error
    if url.drivername == "sqlite" and url.database:
        return URL.create("sqlite", database=url.database)
    if url.drivername in ("postgresql", "postgresql+psycopg"):
        return url.set(drivername="postgresql+psycopg")
    raise UsageError(f"{url.drivername} is no database of a fleet", allowed=_ALLOWED)


def _check_file(path: Path, create: bool) -> None:
    if path.is_dir():
        raise FleetError("is a folder", where=str(path), allowed="the name of a database file in it")
    if path.exists():
        return
    if not create:
        raise FleetError(
            "there is no fleet",
            where=str(path),
            hint="tinyops device add ID, or --database with the place where it is",
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FleetError(f"the folder cannot be made: {error.strerror}", where=str(path.parent)) from error


def _engine(url: URL) -> Engine:
    from sqlalchemy import create_engine, event

    options: dict[str, Any] = {}
    if url.get_backend_name() == "sqlite":
        options["connect_args"] = {"timeout": _BUSY_SECONDS, "check_same_thread": False}
    else:
        options["pool_pre_ping"] = True
        options["connect_args"] = {"connect_timeout": 10, "application_name": "tinyops"}
    try:
        engine = create_engine(url, **options)
    except ImportError as error:
        raise MissingToolError(
            "the driver of PostgreSQL is not installed", hint="pip install 'tinyops[postgres]'"
        ) from error
    if url.get_backend_name() == "sqlite":
        event.listen(engine, "connect", _sqlite_connected)
        event.listen(engine, "begin", _sqlite_begin)
    return engine


def _sqlite_connected(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # the driver begins no transaction of its own: _sqlite_begin does
    for pragma in ("foreign_keys=ON", "journal_mode=WAL", "synchronous=FULL"):
        connection.execute(f"PRAGMA {pragma}").close()


def _sqlite_begin(connection: Connection) -> None:
    writes = connection.get_execution_options().get(_WRITES)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _prepare(engine: Engine, name: str, create: bool) -> None:
    """Check the version of the tables, or make them."""
    from sqlalchemy import insert, inspect, text

    from tinyops.update.audit import protect
    from tinyops.update.tables import SCHEMA_VERSION, Base, SchemaVersion

    with engine.connect() as connection:
        tables = set(inspect(connection).get_table_names())
        connection.rollback()
        if "tinyops_schema" not in tables and create:
            with engine.execution_options(**{_WRITES: True}).begin() as writer:
                if engine.dialect.name == "postgresql":
                    writer.execute(text(f"SELECT pg_advisory_xact_lock({_SCHEMA_LOCK})"))
                tables = set(inspect(writer).get_table_names())
                if not tables:
                    Base.metadata.create_all(writer)
                    protect(writer)
                    writer.execute(insert(SchemaVersion).values(version=SCHEMA_VERSION))
                    return
        if "tinyops_schema" not in tables:
            what = "is the database of another program" if tables else "there is no fleet"
            raise FleetError(what, where=name, hint=None if tables else "tinyops device add ID")
        version = connection.execute(text("SELECT version FROM tinyops_schema")).scalar()
    if version != SCHEMA_VERSION:
        newer = "newer" if version is not None and version > SCHEMA_VERSION else "older"
        raise FleetError(
            f"its tables are of version {version}, those of this program of version {SCHEMA_VERSION}",
            where=name,
            hint=f"use it with the {newer} tinyops that made it, or begin a new one with --database",
        )


@contextmanager
def _errors(name: str) -> Iterator[None]:
    """What a database driver raises, in words."""
    from sqlalchemy.exc import DBAPIError, SQLAlchemyError

    try:
        yield
    except DBAPIError as error:
        said = " ".join(str(error.orig).split())
        if "disk is full" in said or "No space left" in said or "could not extend file" in said:
            raise FleetError("the disk is full; nothing was changed", where=name) from error
        if "is not a database" in said:
            raise FleetError("is no SQLite database", where=name) from error
        if "locked" in said:
            raise FleetError("another program keeps it locked", where=name) from error
        raise FleetError(f"the database says: {said[:300]}", where=name) from error
    except SQLAlchemyError as error:
        raise FleetError(f"the database failed: {' '.join(str(error).split())[:300]}", where=name) from error
