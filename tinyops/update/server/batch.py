"""Check-ins of many devices in one transaction: one wait for the disk for all that came during the last one."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass

from tinyops.errors import TinyopsError
from tinyops.update import offers
from tinyops.update.checkin import Answer, Checkin
from tinyops.update.database import FleetError
from tinyops.update.server.fleet import Fleet

_BATCH = 64
#: More check-ins than this do not wait: their devices come again.
_WAITING = 4096


@dataclass(frozen=True, slots=True)
class _Entry:
    checkin: Checkin
    sender: offers.Sender
    answer: asyncio.Future[Answer]


class CheckinQueue:
    """Check-ins that wait for their transaction, first come, first served."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._waiting: deque[_Entry] = deque()
        self._task: asyncio.Task[None] | None = None

    async def check_in(self, checkin: Checkin, sender: offers.Sender) -> Answer:
        """The answer to a check-in, after it was committed. Raises what offers.check_in raises, and FleetError."""
        if len(self._waiting) >= _WAITING:
            raise FleetError("the server has too much to do")
        entry = _Entry(checkin, sender, asyncio.get_running_loop().create_future())
        self._waiting.append(entry)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())
        return await entry.answer

    async def _run(self) -> None:
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(_BATCH, len(self._waiting)))]
            batch.sort(key=lambda entry: entry.checkin.device)  # all servers lock devices in one order
            try:
                results = await self._commit(batch)
            except Exception:  # whatever one of them met, the others shall not suffer
                results = []
                for entry in batch:
                    try:
                        results += await self._commit([entry])
                    except Exception as error:
                        known = isinstance(error, TinyopsError)
                        results.append(error if known else FleetError(f"the server failed: {type(error).__name__}"))
            for entry, result in zip(batch, results, strict=True):
                if entry.answer.done():
                    continue
                if isinstance(result, Exception):
                    entry.answer.set_exception(result)
                else:
                    entry.answer.set_result(result)

    async def _commit(self, batch: list[_Entry]) -> list[Answer | Exception]:
        def work() -> list[Answer | Exception]:
            now = self._fleet.clock()
            results: list[Answer | Exception] = []
            with self._fleet.database.write() as session:
                for entry in batch:
                    try:
                        answer = offers.check_in(session, entry.checkin, entry.sender, self._fleet.policy, now)
                        results.append(answer)
                    except (offers.UnknownDeviceError, offers.NotAuthenticError) as error:
                        results.append(error)  # nothing was written for it
            return results

        return await self._fleet.write(work)
