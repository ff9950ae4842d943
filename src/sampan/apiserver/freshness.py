"""When a cache is new enough for a request, where several servers write one store.

Owns the wait before a request is answered from the caches: without a resourceVersion it must see what any server has
acknowledged before; with one, at least that. Leaves how that is found out to the store. A store of one process needs
none of this: its caches are never behind.

Source: KEP-2340 (consistent reads from the cache); `k8s.io/apiserver/pkg/storage/cacher/watch_cache.go`, `blockTimeout`.
"""

from __future__ import annotations

from sampan.apiserver.options import first
from sampan.apiserver.request import RequestInfo
from sampan.store.base import SharedStore, StoreUnavailable

FUTURE_SECONDS = 3.0
AGAIN_SECONDS = 30.0


class Freshness:
    """One for all requests."""

    def __init__(self, store: SharedStore) -> None:
        self._store = store

    async def wait(self, info: RequestInfo) -> None:
        """Return when the caches are new enough; a revision that takes too long is left to who answers.

        Raises:
            StoreUnavailable: It can't be found out, or everything is being read anew.
        """
        asked = first(info.query, "resourceVersion")
        if not asked:
            await self._store.catch_up()
            return
        # a watch gives what comes after its revision, whenever that comes
        waits = asked.isascii() and asked.isdigit() and (info.verb != "watch" or "sendInitialEvents" in info.query)
        if waits and int(asked[:20]) > self._store.revision and await self._store.reached(int(asked[:20]), FUTURE_SECONDS):
            return
        if not await self._store.reached(0, AGAIN_SECONDS):
            raise StoreUnavailable("storage is (re)initializing")
