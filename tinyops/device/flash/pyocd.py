"""pyOCD, as a library: CMSIS-DAP, ST-LINK and J-Link probes at Cortex-M chips."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

from tinyops.device.board import FlashBackend, ProbeKind
from tinyops.device.flash.attached import Attached
from tinyops.device.flash.backend import Backend, Job, Verified
from tinyops.device.flash.faults import busy, locked, lost, no_chip, no_permission, tool_failed, unsupported
from tinyops.device.flash.process import Progress
from tinyops.device.packages import package_version, pip_install
from tinyops.errors import MissingToolError

_BLOCK = 4096


class Pyocd(Backend):
    name: ClassVar[FlashBackend] = "pyocd"
    kinds: ClassVar[frozenset[ProbeKind]] = frozenset(("cmsis-dap", "stlink", "jlink"))
    facts = ("pyocd_target",)
    can_recover = True

    @classmethod
    def installed(cls) -> str:
        version = package_version("pyocd")
        if version is None:
            raise MissingToolError("is not installed", where="pyocd", hint=pip_install('"tinyops[flash]"'))
        return version

    def lacks(self) -> str | None:
        lacking = super().lacks()
        target = self.board.probe.pyocd_target
        if lacking is None and target is not None and not _knows(target):
            return f"it needs a CMSIS pack: pyocd pack install {target}"
        return lacking

    def usable(self, devices: Sequence[Attached]) -> list[Attached]:
        """Those that pyOCD itself lists: J-Links only with SEGGER's library. One that may not be opened stays."""
        wanted = super().usable(devices)
        if not wanted:
            return []
        listed = {probe.unique_id.lower() for probe in _probes()}
        return [device for device in wanted if not device.allowed or device.id.lower() in listed]

    def write(self, device: Attached, job: Job, progress: Progress) -> Verified:
        from pyocd.flash.eraser import FlashEraser
        from pyocd.flash.loader import MemoryLoader

        with self._errors(device), self._session(device, job.recover) as session:
            target = session.board.target
            target.reset_and_halt()
            share = 0.8 if job.verify else 1.0
            phases = _Phases(lambda done: progress(share * done))
            if job.erase:
                FlashEraser(session, FlashEraser.Mode.CHIP).erase()
            loader = MemoryLoader(
                session,
                progress=phases,
                chip_erase="sector",
                smart_flash=True,
                trust_crc=False,
                keep_unwritten=False,
            )
            for part in job.parts:
                loader.add_data(part.address, part.data)
            loader.commit()
            done = 0
            for part in job.parts if job.verify else ():
                target.reset_and_halt()  # some flash algorithms leave caches and clocks of their own behind
                found = bytearray()
                while len(found) < len(part.data):
                    size = min(_BLOCK, len(part.data) - len(found))
                    found += bytes(target.read_memory_block8(part.address + len(found), size))
                    progress(share + (1 - share) * (done + len(found)) / job.bytes)
                self.compare(device, part, bytes(found))
                done += len(part.data)
            if job.reset:
                target.reset()
        return "read back" if job.verify else "not at all"

    def read(self, device: Attached, address: int, size: int) -> bytes:
        with self._errors(device), self._session(device, recover=False) as session:
            target = session.board.target
            target.reset_and_halt()
            found = bytearray()
            while len(found) < size:
                found += bytes(target.read_memory_block8(address + len(found), min(_BLOCK, size - len(found))))
            return bytes(found)

    @contextmanager
    def _session(self, device: Attached, recover: bool) -> Iterator[Any]:
        """An open session with a chip that is the right one and not locked."""
        from pyocd.core.exceptions import Error
        from pyocd.core.session import Session

        probe = next((p for p in _probes() if p.unique_id.lower() == device.id.lower()), None)
        if probe is None:
            raise (
                lost(self.where(device), "pyOCD does not find it any more") if device.allowed else no_permission(device)
            )
        options: dict[str, Any] = {
            "target_override": self.board.probe.pyocd_target,
            "auto_unlock": recover,
            "connect_mode": "under-reset" if recover else "halt",
            "hide_programming_progress": True,
            "no_config": True,
            "warning.cortex_m_default": False,
        }
        with TemporaryDirectory(prefix="tinyops-") as empty:
            here = Path.cwd()
            try:  # pyOCD goes to its project's folder, and runs the script pyocd_user.py that it finds there
                session = Session(probe, auto_open=False, options={**options, "project_dir": empty})
            finally:
                os.chdir(here)
            try:
                try:
                    session.open()
                except (Error, KeyError):  # pyOCD expects a core, and does not find one in a locked chip
                    if _is_locked(session):
                        raise locked(self.where(device)) from None
                    raise
                if _is_locked(session):
                    raise locked(self.where(device))
                self._identify(session, device)
                yield session
            finally:
                session.close()

    def _identify(self, session: Any, device: Attached) -> None:
        """Refuse a wrong chip, and one whose flash cannot be read though it answers."""
        from pyocd.core.exceptions import TransferFaultError

        target = session.board.target
        if self.board.probe.chip_id is not None:
            self.check_chip(device, int(target.read32(self.board.probe.chip_id.address)))
        if self.board.flash is not None:
            target.halt()
            try:
                target.read32(self.board.flash.origin)
            except TransferFaultError:
                raise locked(
                    self.where(device), "--recover with --backend openocd or stm32cubeprogrammer, which erases it"
                ) from None

    @contextmanager
    def _errors(self, device: Attached) -> Iterator[None]:
        """pyOCD's errors by their names here; its own log stays quiet but for what a failure needs."""
        from pyocd.core import exceptions

        where = self.where(device)
        try:
            with _heard() as said:
                yield
        except exceptions.TargetSupportError as error:
            raise unsupported(self.name, str(error), f"pyocd pack install {self.board.probe.pyocd_target}") from error
        except exceptions.ProbeDisconnected as error:
            raise lost(where, str(error)) from error
        except exceptions.ProbeError as error:
            raise _probe_fault(device, where, str(error)) from error
        except exceptions.FlashFailure as error:
            raise tool_failed(where, [str(error), *said.lines[-2:]]) from error
        except exceptions.TimeoutError as error:
            raise no_chip(where, str(error) or "it takes too long") from error
        except (exceptions.TransferError, exceptions.DebugError) as error:
            raise no_chip(where, str(error)) from error
        except exceptions.Error as error:
            raise _other_fault(where, error, said.lines[-2:]) from error
        except KeyError as error:
            raise no_chip(where, "no core was found") from error


class _Phases:
    """pyOCD counts to 1 when it erases, and again when it writes, which takes most of the time."""

    def __init__(self, progress: Progress) -> None:
        self._progress, self._start, self._last = progress, 0.0, 0.0

    def __call__(self, done: float) -> None:
        if done < self._last:
            self._start = 0.3
        self._last = done
        self._progress(min(self._start + done * (0.7 if self._start else 0.3), 1.0))


class _Said(logging.Handler):
    """Keeps what pyOCD logs."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines = [*self.lines[-9:], record.getMessage()]


@contextmanager
def _heard() -> Iterator[_Said]:
    """What pyOCD logs goes here instead of to the terminal."""
    said = _Said()
    logger = logging.getLogger("pyocd")
    before = logger.level, logger.propagate
    logger.setLevel(logging.WARNING)
    logger.propagate = False
    logger.addHandler(said)
    try:
        yield said
    finally:
        logger.removeHandler(said)
        logger.setLevel(before[0])
        logger.propagate = before[1]


def _probe_fault(device: Attached, where: str, text: str) -> Exception:
    low = text.lower()
    if "access denied" in low or "permission" in low:
        return no_permission(device)
    if "busy" in low or "already" in low or "claim" in low or "in use" in low:
        return busy(where, text)
    if "unable to open" in low or "no such device" in low or "disconnected" in low:
        return lost(where, text)
    return no_chip(where, text)


def _other_fault(where: str, error: Exception, said: Sequence[str]) -> Exception:
    """What pyOCD raises when it gives up in the end hides why, which is the cause of the error."""
    from pyocd.core.exceptions import TransferError

    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, TransferError):
            return no_chip(where, str(cause))
        cause = cause.__cause__ or cause.__context__
    return tool_failed(where, [str(error), *said])


def _probes() -> list[Any]:
    """pyOCD's probes; one whose library is missing or fails is not among them."""
    from pyocd.core.exceptions import Error
    from pyocd.probe.aggregator import PROBE_CLASSES

    found: list[Any] = []
    for kind in PROBE_CLASSES.values():
        with _heard(), suppress(Error):
            found += kind.get_all_connected_probes()
    return found


def _knows(target: str) -> bool:
    """Whether pyOCD has the target, by itself or by an installed CMSIS pack."""
    from pyocd.target import TARGET
    from pyocd.target.pack.pack_target import ManagedPacks

    return target in TARGET or any(
        device.part_number.lower() == target.lower() for device in ManagedPacks.get_installed_targets()
    )


def _is_locked(session: Any) -> bool:
    """Whether the target says that its debug access is locked; False where it cannot tell."""
    from pyocd.core.exceptions import Error

    try:
        return bool(session.board.target.is_locked())
    except (Error, AttributeError, KeyError, NotImplementedError, TypeError):
        return False
