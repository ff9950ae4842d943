"""`SqliteStore` keeps the contract, across restarts too."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from sampan.aio.clock import VirtualClock
from sampan.store.base import Store
from sampan.store.sqlite import SqliteStore
from sampan.testing.store import StoreConformance


class TestSqliteStore(StoreConformance):
    @asynccontextmanager
    async def open(self, clock: VirtualClock) -> AsyncIterator[Store]:
        with tempfile.TemporaryDirectory() as folder:
            store = await SqliteStore.open(Path(folder) / "data", clock)
            yield store
            await store.close()
