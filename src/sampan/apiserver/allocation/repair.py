"""Takes back addresses that were written for a Service which never came to be: a crash, or a store that left the outcome open.
On a store that is shared it also notes node ports that nobody has noted (a store of before), and forgets those nobody has.

Source: kubernetes `pkg/registry/core/service/ipallocator/controller/repairip.go`.
"""

from __future__ import annotations

import logging
from datetime import timedelta

from sampan.aio.clock import AsyncClock
from sampan.api.resources import SERVICES
from sampan.api.scalars import Time
from sampan.apiserver.allocation.addresses import leaked
from sampan.apiserver.allocation.ports import PREFIX, key_of_port, ports_of
from sampan.apiserver.watchcache import Readers
from sampan.store.base import Compare, CompareFailed, Delete, Put, SharedStore, Store, StoreError

log = logging.getLogger(__name__)

INTERVAL_SECONDS = 180.0
REACHED_SECONDS = 10.0
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

    async def ports(self) -> None:
        """Look at the node ports once. Both ways are compared with what was read, so a Service that is written meanwhile wins."""
        page = await self._store.range(PREFIX)
        if isinstance(self._store, SharedStore) and not await self._store.reached(page.revision, REACHED_SECONDS):
            return  # without the Services that belong to them nothing can be said about ports
        noted = {record.key: record.mod_revision for record in page.records}
        wanted = {key_of_port(port) for entry in self._readers.of(SERVICES).entries() for port in ports_of(entry.object)}
        for key in sorted(wanted ^ noted.keys()):
            write = Put(key, b"{}") if key in wanted else Delete(key)
            try:
                await self._store.transact([write], [Compare(key, noted.get(key, 0))])
            except CompareFailed:
                continue

    async def run(self, *, shared: bool = False) -> None:
        """Look again and again."""
        while True:
            await self._clock.sleep(INTERVAL_SECONDS)
            try:
                await self.once()
                if shared:
                    await self.ports()
            except StoreError as error:
                log.warning("addresses without a Service can't be taken back now", extra={"reason": error.message})
