"""Compaction that several servers do as one: every five minutes etcd forgets what is older than five minutes.

They agree by the version of one key. Who raises it first compacts to what the revision was the last time; the others
only remember the new version. Source: `k8s.io/apiserver/pkg/storage/etcd3/compact.go`.
"""

from __future__ import annotations

import logging

from sampan.aio.clock import AsyncClock
from sampan.store.base import StoreError
from sampan.store.etcdclient import EtcdClient, RevisionCompacted, message

log = logging.getLogger(__name__)

KEY = b"compact_rev_key"
SECONDS = 300.0
EQUAL, VERSION = 0, 0


class Compaction:
    """What one server remembers from one time to the next."""

    def __init__(self, client: EtcdClient) -> None:
        self._client = client
        self._version = self._revision = 0

    async def run(self, clock: AsyncClock, seconds: float = SECONDS) -> None:
        """Compact until cancelled."""
        while True:
            await clock.sleep(seconds)
            try:
                await self.step()
            except StoreError as error:
                log.warning("etcd was not compacted: %s", error.message)

    async def step(self) -> int:
        """What is due now; the revision that etcd was compacted to, 0: another server sees to it, or it is too early."""
        compare = message("Compare", result=EQUAL, target=VERSION, key=KEY, version=self._version)
        put = message("RequestOp", request_put=message("PutRequest", key=KEY, value=str(self._revision).encode()))
        look = message("RequestOp", request_range=message("RangeRequest", key=KEY))
        response = await self._client.txn([compare], [put], [look])
        before, self._revision = self._revision, response.header.revision
        if not response.succeeded:
            self._version = response.responses[0].response_range.kvs[0].version
            return 0
        self._version += 1
        if not before:
            return 0
        try:
            await self._client.compact(before)
        except RevisionCompacted:
            return 0
        return before
