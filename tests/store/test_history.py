"""The log of recent changes, and who is told."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from sampan.aio.clock import VirtualClock
from sampan.store.base import Change, Record
from sampan.store.history import History, Limits, Subscribers


def change(key: str, revision: int) -> Change:
    return Change(key, b"x" * 100, revision, revision, 0)


def test_whole_transactions_go_when_there_are_too_many() -> None:
    history = History(VirtualClock(), 1, Limits(changes=3))
    history.add(2, [change("/a", 2), change("/b", 2)])
    history.add(3, [change("/a", 3)])
    assert (history.floor, len(history.since("/", 1))) == (1, 3)
    history.add(4, [change("/b", 4)])
    assert history.floor == 2
    assert [c.revision for c in history.since("/", 2)] == [3, 4]
    assert [c.revision for c in history.since("/b", 2)] == [4]
    assert history.newest("/a", 4) == change("/a", 3)


def test_bytes_are_bounded() -> None:
    history = History(VirtualClock(), 1, Limits(bytes=1000))
    for revision in range(2, 100):
        history.add(revision, [change("/a", revision)])
    assert len(history.since("/", history.floor)) == 3


def test_a_sink_that_fails_is_reported_and_does_not_keep_the_news_from_others() -> None:
    async def body() -> None:
        reported: list[str] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context["message"]))
        subscribers, told = Subscribers(), []
        subscribers.add("/registry/core/pods/", lambda _: 1 / 0)
        subscribers.add("/registry/core/pods/", told.extend)
        subscribers.publish([change("/registry/core/pods/a/x", 2)])
        assert (len(told), reported) == (1, ["a subscriber of /registry/core/pods/ failed"])

    asyncio.run(body())


def test_a_sink_may_close_subscriptions_while_it_is_told() -> None:
    subscribers, told = Subscribers(), []
    registrations = [subscribers.add("/", lambda _: registrations[1].close()), subscribers.add("/", told.extend)]
    subscribers.publish([change("/a", 2)])
    assert told == []


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans(), st.sampled_from(["", "forget", "ask"])), max_size=40))
def test_what_a_key_was_is_found_as_walking_back_finds_it(steps: list[tuple[str, bool, str]]) -> None:
    # given transactions on few keys, of which only the newest ten are kept, some forgotten on the way
    history, state, asked = History(VirtualClock(), 1, Limits(changes=10)), dict[str, Record](), False
    for revision, (name, delete, then) in enumerate(steps, 2):
        key, before = f"/{name}", state.pop(f"/{name}", None)
        if not delete:
            state[key] = Record(key, b"", revision, revision)
        history.add(revision, [Change(key, None if delete else b"", revision, revision, 0)], [before])
        if then == "forget":
            history.forget(revision - 3)
        asked = asked or then == "ask"
        # when it is asked what keys were, from some moment on
        for past in range(history.floor, revision + 1) if asked else ():
            was = history.undo("/", past)
            for one in ("/a", "/b", "/c"):
                # then the index says what the walk says
                assert history.replaced(one, past) == ((one in was), was.get(one))
