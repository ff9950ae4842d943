"""Takes back addresses that were written for a Service which never came to be: a crash, or a store that left the outcome open.

Source: kubernetes `pkg/registry/core/service/ipallocator/controller/repairip.go`.
"""

from __future__ import annotations

import logging
from datetime import timedelta

from sampan.aio.clock import AsyncClock
from sampan.api.scalars import Time
from sampan.apiserver.allocation.addresses import leaked
from sampan.apiserver.watchcache import Readers
from sampan.store.base import Compare, CompareFailed, Delete, Store, StoreError

log = logging.getLogger(__name__)

INTERVAL_SECONDS = 180.0
CLAIM_SECONDS = 60.0
"""How long a Service may take to follow its address."""


class Repair:
    """One server's; several on one store may all do it."""

    def __init__(self, store: Store, readers: Readers, clock: AsyncClock) -> None:
        self._store, self._readers, self._clock = store, readers, clock

    async def once(self, *, alone: bool = False) -> None:
        """Look once; `alone`: nobody has a write under way, so even a young address without a Service is nobody's."""
        young = "" if alone else Time.of(self._clock.now() - timedelta(seconds=CLAIM_SECONDS))
        for key, revision in leaked(self._readers, before=young).items():
            try:
                await self._store.transact([Delete(key)], [Compare(key, revision)])
            except CompareFailed:
                continue  # it has gone, or was given to another Service meanwhile

    async def run(self) -> None:
        """Look again and again."""
        while True:
            await self._clock.sleep(INTERVAL_SECONDS)
            try:
                await self.once()
            except StoreError as error:
                log.warning("addresses without a Service can't be taken back now", extra={"reason": error.message})
