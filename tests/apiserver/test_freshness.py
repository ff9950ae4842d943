"""What a request waits for before the caches answer it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from sampan.aio.clock import VirtualClock
from sampan.apiserver.freshness import FUTURE_SECONDS, Freshness
from sampan.apiserver.request import RequestInfo
from sampan.store.base import SharedStore, StoreUnavailable
from sampan.store.memory import MemoryStore


class Behind(MemoryStore):
    """A store whose process has been given `given` of `newest` revisions; says what it was asked."""

    given, newest, anew = 5, 9, False

    def __init__(self) -> None:
        super().__init__(VirtualClock())
        self.asked: list[tuple[str, int]] = []

    @property
    def revision(self) -> int:
        return self.given

    async def catch_up(self) -> int:
        self.asked.append(("catch up", 0))
        return self.newest

    async def reached(self, revision: int, seconds: float) -> bool:
        self.asked.append(("reached", revision))
        assert seconds == FUTURE_SECONDS or not revision
        return revision <= self.newest and not self.anew

    def when_lost(self, read_anew: Callable[[], Awaitable[None]]) -> None:
        raise NotImplementedError

    async def problem(self) -> str:
        raise NotImplementedError


def asked(store: Behind, verb: str = "get", **query: str) -> list[tuple[str, int]]:
    info = RequestInfo(method="GET", path="/api/v1/pods", query={key: [value] for key, value in query.items()}, headers={}, verb=verb)
    asyncio.run(Freshness(store).wait(info))
    return store.asked


def test_without_a_revision_it_must_be_what_anybody_was_acknowledged() -> None:
    assert isinstance(Behind(), SharedStore)
    for verb in ("get", "list", "watch", "update", "create", "delete"):
        assert asked(Behind(), verb) == [("catch up", 0)]


def test_any_revision_will_do_where_zero_was_asked_for() -> None:
    assert asked(Behind(), "list", resourceVersion="0") == [("reached", 0)]


def test_a_revision_that_is_on_its_way_is_waited_for() -> None:
    assert asked(Behind(), "list", resourceVersion="8") == [("reached", 8)]


def test_a_revision_of_the_future_is_left_to_who_answers() -> None:
    assert asked(Behind(), "list", resourceVersion="99") == [("reached", 99), ("reached", 0)]


def test_a_watch_begins_at_once_and_tells_what_comes() -> None:
    assert asked(Behind(), "watch", resourceVersion="8") == [("reached", 0)]
    assert asked(Behind(), "watch", resourceVersion="8", sendInitialEvents="true") == [("reached", 8)]


def test_what_is_no_number_is_left_to_who_answers() -> None:
    assert asked(Behind(), "list", resourceVersion="x") == [("reached", 0)]


def test_nobody_is_answered_while_everything_is_read_anew() -> None:
    store = Behind()
    store.anew = True
    with pytest.raises(StoreUnavailable, match="initializing"):
        asked(store, "list", resourceVersion="0")


def test_a_store_of_one_process_needs_none_of_this() -> None:
    assert not isinstance(MemoryStore(VirtualClock()), SharedStore)
