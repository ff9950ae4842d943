"""Leases for keys that delete themselves, shared by many keys so that etcd is not busy with leases.

A lease is granted for longer than it was asked for, and given out until only what was asked for is left; a key lives
a little longer than its time, never shorter. Source: `k8s.io/apiserver/pkg/storage/etcd3/lease_manager.go`.
"""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass

from sampan.lib.clock import Clock
from sampan.store.etcdclient import EtcdClient

REUSE_MOST_SECONDS = 60.0
REUSE_PART = 0.05
KEYS_MOST = 1000
KINDS_MOST = 64


@dataclass
class _Lease:
    id: int
    until: float  # of the monotonic clock: when less than what was asked for is left
    keys: int = 0


class Leases:
    """The leases of one store, by time to live in whole seconds."""

    def __init__(self, client: EtcdClient, clock: Clock) -> None:
        self._client, self._clock = client, clock
        self._current: dict[int, _Lease] = {}
        self._lock = asyncio.Lock()

    async def lease(self, ttl_seconds: float) -> int:
        """The number of a lease that lasts at least `ttl_seconds`.

        Raises:
            StoreError: etcd can't grant one.
        """
        ttl = max(1, math.ceil(ttl_seconds))
        async with self._lock:
            found = self._current.get(ttl)
            if found is None or found.keys >= KEYS_MOST or self._clock.monotonic() >= found.until:
                reuse = min(REUSE_MOST_SECONDS, math.ceil(ttl * REUSE_PART))
                asked = self._clock.monotonic()
                found = _Lease(await self._client.grant(math.ceil(ttl + reuse)), asked + reuse)
                self._current.pop(ttl, None)
                if len(self._current) >= KINDS_MOST:
                    del self._current[next(iter(self._current))]
                self._current[ttl] = found
            found.keys += 1
            return found.id

    def forget(self) -> None:
        """Etcd has said that one of them is gone."""
        self._current.clear()
