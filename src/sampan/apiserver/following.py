"""Following a resource's cache for as long as a server runs, whatever ends a single watch."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from sampan.aio.clock import AsyncClock
from sampan.api.errors import ApiError
from sampan.api.resourceinfo import Resource
from sampan.apiserver.entries import Entry
from sampan.apiserver.watchcache import Caches, WatchQuery

log = logging.getLogger(__name__)


async def follow(caches: Caches, clock: AsyncClock, resource: Resource[Any], changed: Callable[[Entry], object], *, again_seconds: float) -> None:
    """Call `changed` with every entry that there is, then with each that comes, changes or goes; never return.

    When the watch ends (the cache was read anew, or this fell behind), everything is told again after `again_seconds`.
    """
    while True:
        watcher = await caches.of(resource).watch(WatchQuery())
        try:
            while batch := await watcher.events():
                for _, entry in batch:
                    changed(entry)
        except ApiError as error:
            log.info("watching again", extra={"resource": resource.plural, "why": error.message})
        finally:
            watcher.close()
        await clock.sleep(again_seconds)
