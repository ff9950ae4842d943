"""`EtcdStore` keeps the contract on a real etcd, several of them see one another, and it survives etcd's absence."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager

import pytest

from sampan.aio.clock import AsyncClock, SystemClock, VirtualClock
from sampan.aio.tasks import Tasks
from sampan.store.base import (
    Change,
    Compacted,
    Compare,
    CompareFailed,
    Delete,
    Put,
    SharedStore,
    Store,
    StoreUnavailable,
)
from sampan.store.etcd import EtcdSettings, EtcdStore, prefix_end
from sampan.store.etcdclient import Endpoints, EtcdClient, message
from sampan.testing.etcd import Etcd, running_etcd, running_members
from sampan.testing.store import PODS, StoreConformance, Told, on_store
from sampan.testing.waiting import PATIENCE_SECONDS, until

pytestmark = pytest.mark.e2e
QUICK = EtcdSettings(compaction_seconds=0, timeout_seconds=5)


@pytest.fixture(scope="module")
def etcd() -> Iterator[Etcd]:
    with running_etcd() as running:
        yield running


@asynccontextmanager
async def opened(etcd: Etcd, clock: AsyncClock | None = None, settings: EtcdSettings = QUICK) -> AsyncIterator[EtcdStore]:
    store = await EtcdStore.open(etcd.url, clock or SystemClock(), settings)
    try:
        yield store
    finally:
        await store.close()


def run(body: Callable[[], Awaitable[None]]) -> None:
    async def whole() -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await body()

    asyncio.run(whole())


class TestEtcdStore(StoreConformance):
    etcd: Etcd

    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def _start(cls, etcd: Etcd) -> None:
        cls.etcd = etcd

    @asynccontextmanager
    async def open(self, clock: VirtualClock) -> AsyncIterator[Store]:
        client = EtcdClient(Endpoints.parse(self.etcd.url))
        erase = message("RequestOp", request_delete_range=message("DeleteRangeRequest", key=b"\0", range_end=b"\0"))
        await client.txn([], [erase], [])
        await client.close()
        async with opened(self.etcd, clock) as store:
            yield store

    # leases are etcd's and go by real time
    @on_store
    async def test_a_key_with_a_time_to_live_deletes_itself(self, store: Store, clock: VirtualClock) -> None:
        await store.transact([Put("/e/1", b"", ttl_seconds=1), Put("/e/2", b"", ttl_seconds=1), Put("/e/3", b"")])
        told = Told()
        await store.subscribe("/e/", store.revision, told)
        assert await store.get("/e/1")
        await until(lambda: len(told.changes) == 2, "both keys have gone")
        assert [(change.key, change.value) for change in told.changes] == [("/e/1", None), ("/e/2", None)]
        assert len(told.batches) == 1, "expirations share a transaction"
        assert [record.key for record in (await store.range("/e/")).records] == ["/e/3"]

    @on_store
    async def test_writing_a_key_again_forgets_its_time_to_live(self, store: Store, clock: VirtualClock) -> None:
        await store.transact([Put("/e", b"1", ttl_seconds=1), Put("/f", b"1", ttl_seconds=100)])
        await store.transact([Put("/e", b"2"), Put("/f", b"2", ttl_seconds=1)])
        told = Told()
        await store.subscribe("/", store.revision, told)
        await until(lambda: bool(told.changes), "a key has gone")
        assert await store.get("/f") is None
        assert await store.get("/e")


def test_the_end_of_a_prefix_is_the_first_key_behind_it() -> None:
    assert prefix_end(b"/a/") == b"/a0"
    assert prefix_end(b"a\xff\xff") == b"b"
    assert prefix_end(b"") == prefix_end(b"\xff") == b"\0"


def test_what_one_is_acknowledged_another_has_after_catching_up(etcd: Etcd) -> None:
    async def body() -> None:
        async with opened(etcd) as writer, opened(etcd) as reader:
            # given a subscriber of the second store
            told = Told()
            await reader.subscribe(PODS, reader.revision, told)
            for n in range(20):
                # when the first one writes
                revision = await writer.transact([Put(PODS + "a/x", b"%d" % n)])
                # then the second has told it when it has caught up, however many ask
                assert min(await asyncio.gather(*(reader.catch_up() for _ in range(5)))) >= revision
                assert told.changes[-1][1:3] == (b"%d" % n, revision)

    run(body)


def test_who_lost_a_race_has_been_told_of_the_winner(etcd: Etcd) -> None:
    async def body() -> None:
        async with opened(etcd) as fast, opened(etcd) as slow:
            assert isinstance(slow, SharedStore)
            told = Told()
            await slow.subscribe("/race", slow.revision, told)
            revision = await slow.transact([Put("/race", b"0")])
            await fast.transact([Put("/race", b"1")], [Compare("/race", revision)])
            with pytest.raises(CompareFailed):
                await slow.transact([Put("/race", b"2")], [Compare("/race", revision)])
            assert told.changes[-1].value == b"1"

    run(body)


def test_a_range_larger_than_a_page_is_of_one_revision(etcd: Etcd) -> None:
    async def body() -> None:
        async with opened(etcd) as store:
            for start in range(0, 2500, 100):
                await store.transact([Put(f"/many/{n:04}", b"") for n in range(start, start + 100)])
            page = await store.range("/many/", count=True)
            assert ([r.key for r in page.records], page.more, page.remaining) == ([f"/many/{n:04}" for n in range(2500)], False, 0)
            page = await store.range("/many/", after="/many/0099", limit=1500, count=True)
            assert (len(page.records), page.records[0].key, page.more, page.remaining) == (1500, "/many/0100", True, 900)

    run(body)


def test_history_that_is_only_in_etcd_is_told_whole(etcd: Etcd) -> None:
    async def body() -> None:
        async with opened(etcd) as first:
            since = await first.transact([Put("/old/a", b"0")])
            revisions = [await first.transact([Put("/old/a", b"%d" % n), Put("/other", b"")]) for n in range(1, 30)]
            gone = await first.transact([Delete("/old/a")])
        async with opened(etcd) as second:
            told = Told()
            await second.subscribe("/old/", since, told)
            assert [change.revision for change in told.changes] == [*revisions, gone]
            assert told.changes[0] == Change("/old/a", b"1", revisions[0], since, since)
            assert told.changes[-1] == Change("/old/a", None, gone, since, revisions[-1])
            last = await second.transact([Put("/old/a", b"new")])
            assert told.changes[-1].revision == last

    run(body)


def test_a_store_without_etcd_says_so_and_goes_on_when_it_is_back() -> None:
    async def body() -> None:
        with running_etcd() as etcd:
            async with opened(etcd, settings=EtcdSettings(timeout_seconds=0.5)) as store:
                # given a subscriber
                told = Told()
                await store.subscribe("/", store.revision, told)
                await _written(store, Put("/a", b"1"))
                await _answering(store)
                # when etcd is killed
                etcd.kill()
                # then everything says that it is out of reach
                for attempt in (store.transact([Put("/a", b"2")]), store.get("/a"), store.catch_up(), store.range("/")):
                    with pytest.raises(StoreUnavailable):
                        await attempt
                assert await store.problem() != ""
                # and when it is back, the same store goes on, and so does the subscription
                etcd.start()
                await _answering(store)
                await _written(store, Put("/a", b"3"))
                assert told.changes[-1].value == b"3"
                assert [c.revision for c in told.changes] == sorted({c.revision for c in told.changes})

    run(body)


def test_a_write_while_etcd_is_starting_waits_for_it() -> None:
    async def body() -> None:
        with running_etcd() as etcd:
            async with opened(etcd, settings=EtcdSettings(timeout_seconds=20)) as store, Tasks() as tasks:
                await store.transact([Put("/before", b"")])
                etcd.kill()
                await until(lambda: bool(store._feed.problem), "the loss is noticed")
                writing = tasks.start(store.transact([Put("/a", b"1")]), "write")
                await asyncio.to_thread(etcd.start)
                assert await writing == store.revision
                assert await store.get("/a")

    run(body)


def test_a_store_that_was_away_for_too_long_reads_everything_anew() -> None:
    async def body() -> None:
        with running_etcd() as etcd:
            async with opened(etcd, settings=EtcdSettings(timeout_seconds=5)) as store:
                # given a store that does not hear of what happens
                read: list[int] = []

                async def read_anew() -> None:
                    read.append((await store.range("/")).revision)

                store.when_lost(read_anew)
                last = await store.transact([Put("/a", b"1")])
                store._feed._clock = clock = VirtualClock()
                etcd.kill()
                await until(lambda: clock.next_due_seconds() is not None, "the loss is noticed")
                etcd.start()
                # when history goes by without it
                async with opened(etcd) as other:
                    await other.transact([Put("/a", b"2")])
                    newest = await other.transact([Put("/a", b"3")])
                    await other.compact(newest)
                    await clock.advance(10)
                    # then it is told to read anew, and only then answers
                    assert await store.catch_up() >= newest > last
                assert read == [newest]
                told = Told()
                await store.subscribe("/", newest, told)
                await store.transact([Put("/a", b"4")])
                assert told.changes[-1].value == b"4"
                with pytest.raises(Compacted):
                    await store.subscribe("/", last, Told())

    run(body)


def test_an_etcd_that_was_put_back_is_read_anew() -> None:
    async def body() -> None:
        with running_etcd() as etcd:
            async with opened(etcd) as store:
                # given a store that has seen more than etcd will know
                read: list[list[str]] = []

                async def read_anew() -> None:
                    read.append([record.key for record in (await store.range("/")).records])

                store.when_lost(read_anew)
                for n in range(5):
                    last = await store.transact([Put("/a", b"%d" % n)])
                # when it is replaced by one from before
                etcd.kill()
                etcd.wipe()
                etcd.start()
                # then everything is read anew, and goes on from there
                await until(lambda: read == [[]], "it was read anew")
                assert await store.catch_up() < last
                told = Told()
                await store.subscribe("/", store.revision, told)
                await store.transact([Put("/b", b"")])
                assert told.keys == ["/b"]

    run(body)


def test_a_member_less_is_not_noticed_and_a_new_leader_is_found() -> None:
    async def body() -> None:
        with running_members(3) as members:
            url = "etcd://" + ",".join(f"127.0.0.1:{member.port}" for member in members)
            store = await EtcdStore.open(url, SystemClock(), EtcdSettings(timeout_seconds=10))
            try:
                told = Told()
                await store.subscribe("/", store.revision, told)
                for number, member in enumerate(members):
                    await _written(store, Put(f"/{number}", b""))
                    # when each in turn, the leader among them, is killed
                    member.kill()
                    await _written(store, Put("/k", b"%d" % number))
                    assert told.changes[-1].value == b"%d" % number
                    member.start(cluster=",".join(f"{m.name}={m.peer}" for m in members))
                    await _answering(store)
                assert [c.revision for c in told.changes] == sorted(c.revision for c in told.changes)
                assert {record.key for record in (await store.range("/")).records} == {"/0", "/1", "/2", "/k"}
            finally:
                await store.close()

    run(body)


def test_a_member_that_hangs_is_left_for_another() -> None:
    async def body() -> None:
        with running_members(3) as members:
            url = "etcd://" + ",".join(f"127.0.0.1:{member.port}" for member in members)
            store = await EtcdStore.open(url, SystemClock(), EtcdSettings(timeout_seconds=2))
            try:
                told = Told()
                await store.subscribe("/", store.revision, told)
                for number, member in enumerate(members):
                    # when each in turn, the one with the watch among them, hangs
                    member.freeze()
                    await _written(store, Put("/k", b"%d" % number))
                    # then what was written has been told all the same
                    assert told.changes[-1].value == b"%d" % number
                    member.freeze(frozen=False)
                    await _answering(store)
                assert [c.revision for c in told.changes] == sorted(c.revision for c in told.changes)
            finally:
                await store.close()

    run(body)


async def _answering(store: EtcdStore) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while await store.problem():  # noqa: ASYNC110 - another process's doing
            await asyncio.sleep(0.02)


async def _written(store: EtcdStore, put: Put) -> None:
    """Write it until somebody says that it is; putting it twice is all the same here."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            try:
                await store.transact([put])
                return
            except StoreUnavailable:
                await asyncio.sleep(0.02)
