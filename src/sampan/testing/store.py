"""What every `Store` must do: subclass `StoreConformance`, say how a store is opened, and pytest runs it all.

Owns the contract of `sampan.store.base` as tests, a model-based one among them. Leaves crashes and full disks to the
tests of the stores that have a disk.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sampan.aio.clock import VirtualClock
from sampan.aio.tasks import Tasks
from sampan.store.base import (
    Change,
    Compacted,
    Compare,
    CompareFailed,
    Delete,
    FutureRevision,
    Put,
    Store,
    StoreUnavailable,
)
from sampan.testing.waiting import PATIENCE_SECONDS

PODS = "/registry/core/pods/"

# key -> value, mod revision, create revision
State = dict[str, tuple[bytes, int, int]]
# writes, and compares: a key, and whether against what it was when the wave began or against nonsense
Attempt = tuple[list[Put | Delete], list[tuple[str, bool]]]

_KEYS = ("/r/a/1", "/r/a/2", "/r/b/1", "/r/c", "/s/a")
_WRITES = st.lists(
    st.one_of(st.builds(Put, st.sampled_from(_KEYS), st.binary(max_size=3), volatile=st.booleans()),
              st.builds(Delete, st.sampled_from(_KEYS))),
    min_size=1, max_size=3, unique_by=lambda write: write.key)
_COMPARES = st.lists(st.tuples(st.sampled_from(_KEYS), st.booleans()), max_size=2, unique_by=lambda wanted: wanted[0])


def on_store(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Run an async test with a fresh store and the virtual clock that it lives by."""

    def run(self: StoreConformance) -> None:
        async def body() -> None:
            clock = VirtualClock()
            async with self.open(clock) as store:
                await asyncio.wait_for(test(self, store, clock), PATIENCE_SECONDS)

        asyncio.run(body())

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run


class Told:
    """A sink that remembers its batches."""

    def __init__(self) -> None:
        self.batches: list[list[Change]] = []

    def __call__(self, changes: Sequence[Change]) -> None:
        self.batches.append(list(changes))

    @property
    def changes(self) -> list[Change]:
        return [change for batch in self.batches for change in batch]

    @property
    def keys(self) -> list[str]:
        return [change.key for change in self.changes]


async def turned(clock: VirtualClock, condition: Callable[[], bool]) -> None:
    """Let things run until the condition holds; threads included, whose disk may be slow, so until a real deadline."""
    deadline = asyncio.get_running_loop().time() + PATIENCE_SECONDS
    while asyncio.get_running_loop().time() < deadline:
        if condition():
            return
        await clock.turns(5)
        await asyncio.to_thread(lambda: None)
    raise AssertionError(f"never came true: {inspect.getsource(condition).strip()}")


class StoreConformance:
    """Subclasses define `open`."""

    def open(self, clock: VirtualClock) -> AbstractAsyncContextManager[Store]:
        """A fresh, empty store that is closed in the end."""
        raise NotImplementedError

    # -- one key ------------------------------------------------------------------------------------------------

    @on_store
    async def test_what_is_put_is_got_with_its_revisions(self, store: Store, clock: VirtualClock) -> None:
        first = await store.transact([Put(PODS + "a/x", b"1")])
        second = await store.transact([Put(PODS + "a/x", b"2")])
        record = await store.get(PODS + "a/x")
        assert record == (PODS + "a/x", b"2", second, first)
        assert second > first
        assert store.revision == second

    @on_store
    async def test_a_key_that_is_not_there_is_none(self, store: Store, clock: VirtualClock) -> None:
        assert await store.get(PODS + "a/x") is None

    @on_store
    async def test_a_key_made_again_has_a_new_create_revision(self, store: Store, clock: VirtualClock) -> None:
        await store.transact([Put("/k", b"1")])
        await store.transact([Delete("/k")])
        assert await store.get("/k") is None
        again = await store.transact([Put("/k", b"2")])
        record = await store.get("/k")
        assert record
        assert record.create_revision == record.mod_revision == again

    @on_store
    async def test_deleting_what_is_not_there_changes_nothing(self, store: Store, clock: VirtualClock) -> None:
        before = store.revision
        assert await store.transact([Delete("/none")]) == before
        assert store.revision == before

    @on_store
    async def test_a_put_and_what_follows_are_two_revisions_told_in_order(self, store: Store, clock: VirtualClock) -> None:
        # given
        told = Told()
        await store.subscribe("/", store.revision, told)
        made = await store.transact([Put("/k", b"1"), Put("/with", b"it")])
        # when
        gone = await store.put_then(Put("/k", b"2"), Compare("/k", made), [Delete("/k"), Delete("/with")])
        # then
        assert await store.get("/k") is None
        assert await store.get("/with") is None
        marked = told.changes[2].revision
        assert [(change.key, change.value, change.revision, change.previous_revision) for change in told.changes[2:]] == [
            ("/k", b"2", marked, made), ("/k", None, gone, marked), ("/with", None, gone, made)]
        assert made < marked < gone
        assert await store.get("/k", revision=marked) == ("/k", b"2", marked, made)

    @on_store
    async def test_nothing_follows_a_put_whose_compare_fails(self, store: Store, clock: VirtualClock) -> None:
        made = await store.transact([Put("/k", b"1")])
        attempts = [store.put_then(Put("/k", b"2"), Compare("/k", revision), [Delete("/k")]) for revision in (made - 1, made, made)]
        results = await asyncio.gather(*attempts, return_exceptions=True)
        assert isinstance(results[0], CompareFailed)
        assert sorted(type(one).__name__ for one in results[1:]) == ["CompareFailed", "int"], "one of two is first"
        assert await store.get("/k") is None
        with pytest.raises(ValueError, match="twice"):
            await store.put_then(Put("/k", b"2"), Compare("/k", 0), [Delete("/k"), Delete("/k")])

    @on_store
    async def test_a_key_is_read_as_it_was(self, store: Store, clock: VirtualClock) -> None:
        made = await store.transact([Put("/k", b"1")])
        changed = await store.transact([Put("/k", b"2")])
        gone = await store.transact([Delete("/k")])
        assert (await store.get("/k", revision=made)) == ("/k", b"1", made, made)
        assert (await store.get("/k", revision=changed)) == ("/k", b"2", changed, made)
        assert await store.get("/k", revision=gone) is None

    @on_store
    async def test_the_future_cannot_be_read(self, store: Store, clock: VirtualClock) -> None:
        for attempt in (store.get("/k", revision=store.revision + 1), store.range("/", revision=store.revision + 1),
                        store.subscribe("/", store.revision + 1, Told()), store.compact(store.revision + 1)):
            with pytest.raises(FutureRevision):
                await attempt

    # -- transactions -------------------------------------------------------------------------------------------

    @on_store
    async def test_a_transaction_is_one_revision(self, store: Store, clock: VirtualClock) -> None:
        await store.transact([Put("/old", b"")])
        told = Told()
        await store.subscribe("/", store.revision, told)
        revision = await store.transact([Put("/a", b"1"), Delete("/old"), Put("/b", b"2"), Delete("/none")])
        assert {change.revision for change in told.changes} == {revision}
        assert told.keys == ["/a", "/old", "/b"]

    @on_store
    async def test_a_key_cannot_be_written_twice_in_one_transaction(self, store: Store, clock: VirtualClock) -> None:
        with pytest.raises(ValueError, match="twice"):
            await store.transact([Put("/a", b"1"), Delete("/a")])

    @on_store
    async def test_a_failed_compare_writes_nothing_and_tells_what_is_there(self, store: Store, clock: VirtualClock) -> None:
        revision = await store.transact([Put("/a", b"1")])
        with pytest.raises(CompareFailed) as failed:
            await store.transact([Put("/a", b"2"), Put("/b", b"2")], [Compare("/a", revision - 1), Compare("/b", 0)])
        assert failed.value.found == {"/a": ("/a", b"1", revision, revision), "/b": None}
        assert await store.get("/b") is None
        assert store.revision == revision

    @on_store
    async def test_compare_with_zero_holds_when_the_key_is_not_there(self, store: Store, clock: VirtualClock) -> None:
        await store.transact([Put("/a", b"1")], [Compare("/a", 0)])
        with pytest.raises(CompareFailed):
            await store.transact([Put("/a", b"2")], [Compare("/a", 0)])

    @on_store
    async def test_of_concurrent_compares_and_swaps_exactly_one_wins(self, store: Store, clock: VirtualClock) -> None:
        revision = await store.transact([Put("/a", b"0")])
        answers = await asyncio.gather(
            *(store.transact([Put("/a", b"%d" % n)], [Compare("/a", revision)]) for n in range(20)), return_exceptions=True)
        won = [answer for answer in answers if isinstance(answer, int)]
        lost = [answer for answer in answers if isinstance(answer, CompareFailed)]
        assert (len(won), len(lost)) == (1, 19)
        now = await store.get("/a")
        assert all(error.found["/a"] == now for error in lost)

    @on_store
    async def test_concurrent_writers_get_different_revisions_in_the_order_of_changes(self, store: Store, clock: VirtualClock) -> None:
        told = Told()
        await store.subscribe("/", store.revision, told)
        revisions = await asyncio.gather(*(store.transact([Put(f"/{n}", b"")]) for n in range(100)))
        assert len(set(revisions)) == 100
        assert [change.revision for change in told.changes] == sorted(revisions)
        assert {change.key: change.revision for change in told.changes} == {f"/{n}": r for n, r in enumerate(revisions)}

    @on_store
    async def test_a_caller_that_gives_up_disturbs_nobody(self, store: Store, clock: VirtualClock) -> None:
        async with Tasks() as tasks:
            given_up = tasks.start(store.transact([Put("/a", b"1")]), "given up")
            await asyncio.sleep(0)
            given_up.cancel()
            await store.transact([Put("/b", b"1")])
            assert await store.get("/b")

    # -- ranges -------------------------------------------------------------------------------------------------

    @on_store
    async def test_a_range_is_what_has_the_prefix_in_the_order_of_keys(self, store: Store, clock: VirtualClock) -> None:
        names = ["a/x", "a-b/x", "a/y", "b/ü", "b/z", "a.b/x"]
        await store.transact([Put(PODS + name, name.encode()) for name in names])
        await store.transact([Put("/registry/core/podsandmore/a/x", b""), Put("/registry/core/pod", b"")])
        page = await store.range(PODS)
        assert [record.key for record in page.records] == sorted(PODS + name for name in names)
        assert [record.value for record in page.records] == [record.key[len(PODS):].encode() for record in page.records]
        assert (page.more, page.revision) == (False, store.revision)
        assert [record.key for record in (await store.range(PODS + "a/")).records] == [PODS + "a/x", PODS + "a/y"]
        assert (await store.range("/registry/apps/")).records == []

    @on_store
    async def test_a_range_comes_in_pages_of_one_revision(self, store: Store, clock: VirtualClock) -> None:
        for n in range(7):
            await store.transact([Put(f"/k/{n}", b"%d" % n)])
        first = await store.range("/k/", limit=3, count=True)
        assert ([r.key for r in first.records], first.more, first.remaining) == (["/k/0", "/k/1", "/k/2"], True, 4)
        # meanwhile the world goes on
        await store.transact([Delete("/k/3"), Put("/k/4", b"new"), Put("/k/5a", b"")])
        second = await store.range("/k/", after="/k/2", limit=3, revision=first.revision)
        assert [r.value for r in second.records] == [b"3", b"4", b"5"]
        assert (second.more, second.remaining) == (True, -1)
        third = await store.range("/k/", after="/k/5", limit=3, revision=first.revision, count=True)
        assert ([r.key for r in third.records], third.more, third.remaining) == (["/k/6"], False, 0)
        assert [r.key for r in (await store.range("/k/")).records] == ["/k/0", "/k/1", "/k/2", "/k/4", "/k/5", "/k/5a", "/k/6"]

    # -- subscriptions ------------------------------------------------------------------------------------------

    @on_store
    async def test_a_subscriber_is_told_before_the_writer_goes_on(self, store: Store, clock: VirtualClock) -> None:
        told = Told()
        await store.subscribe("/k/", store.revision, told)
        for n in range(5):
            revision = await store.transact([Put("/k/a", b"%d" % n)])
            assert told.changes[-1].revision == revision

    @on_store
    async def test_changes_say_what_they_replaced(self, store: Store, clock: VirtualClock) -> None:
        told = Told()
        await store.subscribe("/k", store.revision, told)
        made = await store.transact([Put("/k", b"1")])
        changed = await store.transact([Put("/k", b"2")])
        gone = await store.transact([Delete("/k")])
        assert told.changes == [("/k", b"1", made, made, 0), ("/k", b"2", changed, made, made),
                                ("/k", None, gone, made, changed)]

    @on_store
    async def test_a_subscription_from_the_past_misses_nothing_and_repeats_nothing(self, store: Store, clock: VirtualClock) -> None:
        await store.transact([Put("/k/0", b"")])
        since = store.revision
        async with Tasks() as tasks:
            told = Told()
            writing = [tasks.start(store.transact([Put(f"/k/{n}", b"")]), "write") for n in range(1, 40)]
            await store.transact([Put("/k/40", b"")])
            await store.subscribe("/k/", since, told)
            await asyncio.gather(*writing)
            await store.transact([Put("/k/41", b"")])
        assert sorted(told.keys) == sorted(f"/k/{n}" for n in range(1, 42))
        revisions = [change.revision for change in told.changes]
        assert revisions == sorted(revisions)

    @on_store
    async def test_a_subscription_is_for_its_prefix_alone(self, store: Store, clock: VirtualClock) -> None:
        pods, one_space, everything = Told(), Told(), Told()
        await store.subscribe(PODS, store.revision, pods)
        await store.subscribe(PODS + "a/", store.revision, one_space)
        await store.subscribe("/registry/", store.revision, everything)
        await store.transact([Put(PODS + "a/x", b""), Put(PODS + "b/x", b""), Put("/registry/apps/deployments/a/x", b"")])
        assert pods.keys == [PODS + "a/x", PODS + "b/x"]
        assert one_space.keys == [PODS + "a/x"]
        assert len(everything.keys) == 3

    @on_store
    async def test_a_closed_subscription_is_told_nothing_more(self, store: Store, clock: VirtualClock) -> None:
        told, others = Told(), Told()
        subscription = await store.subscribe("/", store.revision, told)
        await store.subscribe("/", store.revision, others)
        await store.transact([Put("/a", b"")])
        subscription.close()
        subscription.close()
        await store.transact([Put("/b", b"")])
        assert (told.keys, others.keys) == (["/a"], ["/a", "/b"])

    # -- history ------------------------------------------------------------------------------------------------

    @on_store
    async def test_what_is_compacted_is_gone_and_what_is_newer_stays(self, store: Store, clock: VirtualClock) -> None:
        first = await store.transact([Put("/a", b"1"), Put("/gone", b"")])
        await store.transact([Delete("/gone")])
        second = await store.transact([Put("/a", b"2")])
        third = await store.transact([Put("/a", b"3")])
        await store.compact(second)
        for attempt in (store.get("/a", revision=first), store.range("/", revision=first),
                        store.subscribe("/", first, Told())):
            with pytest.raises(Compacted) as compacted:
                await attempt
            assert compacted.value.oldest == second
        record = await store.get("/a", revision=second)
        assert record
        assert record.value == b"2"
        told = Told()
        await store.subscribe("/", second, told)
        assert [change.revision for change in told.changes] == [third]
        assert [record.value for record in (await store.range("/")).records] == [b"3"]
        await store.compact(first)  # already done

    # -- time to live -------------------------------------------------------------------------------------------

    @on_store
    async def test_a_key_with_a_time_to_live_deletes_itself(self, store: Store, clock: VirtualClock) -> None:
        await store.transact([Put("/e/1", b"", ttl_seconds=10), Put("/e/2", b"", ttl_seconds=10), Put("/e/3", b"")])
        told = Told()
        await store.subscribe("/e/", store.revision, told)
        await clock.advance(9)
        assert await store.get("/e/1")
        await clock.advance(3)
        await turned(clock, lambda: len(told.changes) == 2)
        assert [(change.key, change.value) for change in told.changes] == [("/e/1", None), ("/e/2", None)]
        assert len(told.batches) == 1, "expirations share a transaction"
        assert [record.key for record in (await store.range("/e/")).records] == ["/e/3"]

    @on_store
    async def test_writing_a_key_again_forgets_its_time_to_live(self, store: Store, clock: VirtualClock) -> None:
        await store.transact([Put("/e", b"1", ttl_seconds=10), Put("/f", b"1", ttl_seconds=100)])
        await store.transact([Put("/e", b"2"), Put("/f", b"2", ttl_seconds=10)])
        await clock.advance(12)
        told = Told()
        await store.subscribe("/", store.revision, told)
        await turned(clock, lambda: store.revision > 3 or bool(told.changes))
        assert await store.get("/f") is None
        assert await store.get("/e")

    # -- volatile -----------------------------------------------------------------------------------------------

    @on_store
    async def test_volatile_writes_are_read_and_told_like_others(self, store: Store, clock: VirtualClock) -> None:
        told = Told()
        await store.subscribe("/l/", store.revision, told)
        made = await store.transact([Put("/l/a", b"0")])
        revisions = [await store.transact([Put("/l/a", b"%d" % n, volatile=True)]) for n in range(1, 6)]
        assert revisions == sorted(set(revisions))
        assert await store.get("/l/a") == ("/l/a", b"5", revisions[-1], made)
        assert (await store.range("/l/")).records == [("/l/a", b"5", revisions[-1], made)]
        assert [change.value for change in told.changes] == [b"0", b"1", b"2", b"3", b"4", b"5"]
        with pytest.raises(CompareFailed):
            await store.transact([Put("/l/a", b"9")], [Compare("/l/a", revisions[-2])])
        await store.transact([Put("/l/a", b"9"), Put("/other", b"")], [Compare("/l/a", revisions[-1])])
        assert await store.get("/l/a", revision=revisions[2]) == ("/l/a", b"3", revisions[2], made)
        await store.transact([Delete("/l/a")])
        assert await store.get("/l/a") is None
        late = Told()
        await store.subscribe("/l/", made, late)
        assert late.changes[-1].value is None

    @on_store
    async def test_volatile_writes_and_others_keep_their_order(self, store: Store, clock: VirtualClock) -> None:
        await store.transact([Put("/l/a", b"", volatile=True)])
        told = Told()
        await store.subscribe("/", store.revision, told)
        writes = [store.transact([Put("/l/a", b"%d" % n, volatile=True) if n % 3 else Put(f"/k/{n}", b"")]) for n in range(30)]
        revisions = await asyncio.gather(*writes)
        assert [change.revision for change in told.changes] == sorted(revisions)
        assert len(set(revisions)) == 30

    # -- the end ------------------------------------------------------------------------------------------------

    @on_store
    async def test_a_closed_store_says_so(self, store: Store, clock: VirtualClock) -> None:
        await store.transact([Put("/a", b"")])
        await store.close()
        await store.close()
        for attempt in (store.get("/a"), store.range("/"), store.transact([Put("/a", b"")]),
                        store.subscribe("/", 0, Told()), store.compact(1)):
            with pytest.raises(StoreUnavailable):
                await attempt

    # -- everything at once -------------------------------------------------------------------------------------

    @settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.differing_executors])
    @given(st.lists(st.lists(st.tuples(_WRITES, _COMPARES), min_size=1, max_size=5), min_size=1, max_size=5))
    def test_random_transactions_agree_with_a_model(self, waves: list[list[Attempt]]) -> None:
        async def body() -> None:
            async with self.open(VirtualClock()) as store:
                await _Model(store).check(waves)

        asyncio.run(body())


class _Model:
    """What a store should hold, and every state that it should have had."""

    def __init__(self, store: Store) -> None:
        self.store, self.start = store, store.revision
        self.states: dict[int, State] = {store.revision: {}}
        self.told, self.everything = Told(), Told()

    async def check(self, waves: list[list[Attempt]]) -> None:
        """Waves of concurrent transactions: whatever order they took, each is judged by the state it came upon."""
        await self.store.subscribe("/r/", self.start, self.told)
        await self.store.subscribe("/", self.start, self.everything)
        for wave in waves:
            before = self.store.revision
            attempts = [(writes, [self._compare(*wanted) for wanted in compares]) for writes, compares in wave]
            answers = await asyncio.gather(*(self.store.transact(*attempt) for attempt in attempts), return_exceptions=True)
            done = list(zip(attempts, answers, strict=True))
            written = {change.revision for change in self.everything.changes if change.revision > before}
            for revision in sorted(written):
                # a transaction with nothing to do answers with a revision that is another's
                self._apply(*next(attempt for attempt, answer in done if answer == revision and self._made(attempt[0], revision)),
                            revision)
            seen = [state for revision, state in self.states.items() if revision >= before]
            for (writes, compares), answer in done:
                if isinstance(answer, CompareFailed):
                    assert any(not _holds(state, compares) and _is(state, answer.found) for state in seen)
                else:
                    assert isinstance(answer, int)
                    assert self._made(writes, answer) or any(
                        _holds(state, compares) and not any(write.key in state for write in writes) for state in seen)
            await self._agree()

    def _compare(self, key: str, right: bool) -> Compare:
        now = self.states[max(self.states)]
        return Compare(key, (now[key][1] if key in now else 0) if right else 10**9)

    def _made(self, writes: Sequence[Put | Delete], revision: int) -> bool:
        """Whether these writes are what was changed at that revision."""
        wanted = {write.key: write.value if isinstance(write, Put) else None for write in writes}
        made = {change.key: change.value for change in self.everything.changes if change.revision == revision}
        return bool(made) and made.items() <= wanted.items() and all(value is None for key, value in wanted.items() if key not in made)

    def _apply(self, writes: Sequence[Put | Delete], compares: Sequence[Compare], revision: int) -> None:
        state = dict(self.states[max(self.states)])
        assert _holds(state, compares)
        assert any(isinstance(write, Put) or write.key in state for write in writes)
        for write in writes:
            if isinstance(write, Delete):
                state.pop(write.key, None)
            else:
                state[write.key] = (write.value, revision, state[write.key][2] if write.key in state else revision)
        self.states[revision] = state

    async def _agree(self) -> None:
        changes = self.told.changes
        assert [change.revision for change in changes] == sorted(change.revision for change in changes)
        late = Told()
        (await self.store.subscribe("/r/", self.start, late)).close()
        assert late.changes == changes
        assert {r.key: r[1:] for r in (await self.store.range("/")).records} == self.states[max(self.states)]
        for revision, state in self.states.items():
            page = await self.store.range("/r/", revision=revision)
            assert {r.key: r[1:] for r in page.records} == {k: v for k, v in state.items() if k.startswith("/r/")}
            for key in _KEYS:
                record = await self.store.get(key, revision=revision)
                assert (record[1:] if record else None) == state.get(key)


def _holds(state: State, compares: Sequence[Compare]) -> bool:
    return all((state[c.key][1] if c.key in state else 0) == c.mod_revision for c in compares)


def _is(state: State, found: dict[str, Any]) -> bool:
    return all((record[1:] if record else None) == state.get(key) for key, record in found.items())
