"""Compaction among several servers, and leases that keys share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from sampan.aio.clock import SystemClock, VirtualClock
from sampan.aio.tasks import Tasks
from sampan.store.base import Compacted, Put
from sampan.store.etcd import EtcdSettings, EtcdStore
from sampan.store.etcdclient import Endpoints, EtcdClient, message
from sampan.store.etcdcompaction import SECONDS, Compaction
from sampan.store.etcdleases import KEYS_MOST, Leases
from sampan.testing.etcd import Etcd, running_etcd
from sampan.testing.waiting import PATIENCE_SECONDS

pytestmark = pytest.mark.e2e


@pytest.fixture
def etcd() -> Iterator[Etcd]:
    with running_etcd() as running:
        yield running


@asynccontextmanager
async def client_of(etcd: Etcd) -> AsyncIterator[EtcdClient]:
    client = EtcdClient(Endpoints.parse(etcd.url))
    try:
        yield client
    finally:
        await client.close()


def test_of_several_servers_one_compacts_to_what_was_newest_the_time_before(etcd: Etcd) -> None:
    async def body() -> None:
        async with client_of(etcd) as client:
            store = await EtcdStore.open(etcd.url, SystemClock(), EtcdSettings(compaction_seconds=0))
            servers = [Compaction(client) for _ in range(3)]
            done: list[list[int]] = []
            before = 0
            for n in range(4):
                # when each of three servers has its turn, in some order
                await store.transact([Put("/a", b"%d" % n)])
                newest = store.revision
                done.append([await server.step() for server in (*servers[n % 3:], *servers[:n % 3])])
                # then one of them compacts at most, to what the time before was the newest
                assert len([revision for revision in done[-1] if revision]) == (1 if n else 0), done
                if n > 1:
                    compacted = max(done[-1])
                    assert before <= compacted < newest
                    with pytest.raises(Compacted) as error:
                        await store.get("/a", revision=compacted - 1)
                    assert error.value.oldest == compacted
                    assert await store.get("/a", revision=compacted)
                before = newest
            await store.close()

    asyncio.run(body())


def test_compaction_comes_every_five_minutes(etcd: Etcd) -> None:
    async def body() -> None:
        clock = VirtualClock()
        async with client_of(etcd) as client, Tasks() as tasks:
            tasks.start(Compaction(client).run(clock), "compaction")
            versions = []
            for _ in range(3):
                await clock.advance(SECONDS)
                async with asyncio.timeout(PATIENCE_SECONDS):
                    while clock.next_due_seconds() is None:  # noqa: ASYNC110 - another process's doing
                        await asyncio.sleep(0.01)
                found = (await client.range(key=b"compact_rev_key")).kvs
                versions.append(found[0].version if found else 0)
            assert versions == [1, 2, 3]

    asyncio.run(body())


def test_keys_share_a_lease_until_less_than_their_time_is_left(etcd: Etcd) -> None:
    async def body() -> None:
        clock = VirtualClock()
        async with client_of(etcd) as client:
            leases = Leases(client, clock)
            # given keys that live an hour
            first = await asyncio.gather(*(leases.lease(3600) for _ in range(10)))
            assert len(set(first)) == 1
            assert await leases.lease(60) != first[0]
            # when a minute less is left than the lease was granted for
            await clock.advance(59)
            assert await leases.lease(3600) == first[0]
            await clock.advance(1)
            assert (second := await leases.lease(3600)) != first[0]
            # and a lease has no more than so many keys
            for _ in range(KEYS_MOST - 1):
                assert await leases.lease(3600) == second
            assert await leases.lease(3600) != second

    asyncio.run(body())


def test_a_lease_that_is_gone_is_replaced(etcd: Etcd) -> None:
    async def body() -> None:
        store = await EtcdStore.open(etcd.url, SystemClock())
        await store.transact([Put("/e/1", b"", ttl_seconds=100)])
        async with client_of(etcd) as client:
            for lease in (await (await client._member(5)).services["Lease"].LeaseLeases(message("LeaseLeasesRequest"))).leases:
                await (await client._member(5)).services["Lease"].LeaseRevoke(message("LeaseRevokeRequest", ID=lease.ID))
        await store.transact([Put("/e/2", b"", ttl_seconds=100)])
        assert [record.key for record in (await store.range("/e/")).records] == ["/e/2"]
        await store.close()

    asyncio.run(body())
