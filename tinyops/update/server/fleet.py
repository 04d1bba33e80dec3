"""What the server works on, and the threads that wait for the database."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

from tinyops.update.database import Database
from tinyops.update.offers import Policy
from tinyops.update.server.limits import RateLimiter
from tinyops.update.store import Store

T = TypeVar("T")


@dataclass(slots=True)
class Fleet:
    """Database, files, policy and limits of one server."""

    database: Database
    store: Store
    policy: Policy = field(default_factory=Policy)
    per_device: RateLimiter = field(default_factory=lambda: RateLimiter(0.5, 20))
    per_address: RateLimiter = field(default_factory=lambda: RateLimiter(500.0, 5000))
    clock: Callable[[], float] = time.time
    _readers: ThreadPoolExecutor = field(init=False)
    _writers: ThreadPoolExecutor = field(init=False)

    def __post_init__(self) -> None:
        # SQLite lets one writer in at a time: more threads would only wait for each other
        self._readers = ThreadPoolExecutor(2, thread_name_prefix="reader")
        self._writers = ThreadPoolExecutor(2 if self.database.postgres else 1, thread_name_prefix="writer")

    async def read(self, work: Callable[[], T]) -> T:
        """`work` that only reads, in a thread of its own."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, work)

    async def write(self, work: Callable[[], T]) -> T:
        """`work` that writes, in a thread of its own."""
        return await asyncio.get_running_loop().run_in_executor(self._writers, work)

    def close(self) -> None:
        """Wait for what is under way."""
        self._readers.shutdown()
        self._writers.shutdown()
