"""What the server's own caches say about how expensive a request is.

Source: `k8s.io/apiserver/pkg/util/flowcontrol/{request/object_count_tracker,watch_tracker}.go`.
"""

from __future__ import annotations

from sampan.apiserver.catalog import Catalog
from sampan.apiserver.flowcontrol.estimate import Stored
from sampan.apiserver.request import RequestInfo
from sampan.apiserver.watchcache import Caches, WatchCache


class CacheWorld:
    """Keeps the contract of `World`."""

    def __init__(self, catalog: Catalog, caches: Caches) -> None:
        self._catalog, self._caches = catalog, caches

    def _cache(self, info: RequestInfo) -> WatchCache | None:
        served = self._catalog.find(info.group, info.version, info.resource)
        return None if served is None else self._caches.find(served.stored)

    def stored(self, info: RequestInfo) -> Stored | None:
        """See `World.stored`."""
        cache = self._cache(info)
        return None if cache is None else Stored(len(cache), cache.bytes)

    def watchers(self, info: RequestInfo) -> int:
        """See `World.watchers`."""
        cache = self._cache(info)
        return 0 if cache is None else cache.interested(info.namespace, info.name)
