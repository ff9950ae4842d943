"""Without fairness: reads and writes are bounded apart."""

from __future__ import annotations

import asyncio

import pytest

from sampan.apiserver.flowcontrol.inflight import FlowSettings, InFlight, flow_settings
from sampan.apiserver.parse import parse
from sampan.apiserver.request import ADMIN, RequestInfo, User
from sampan.lib.errors import ConfigError

ALICE = User("alice", groups=("system:authenticated",))


def request(method: str, user: User = ALICE, query: str = "") -> RequestInfo:
    info = parse(method, "/api/v1/namespaces/a/pods", {query: ["true"]} if query else {}, {})
    info.user = user
    return info


def test_reads_and_writes_have_their_own_bounds() -> None:
    bound = InFlight(FlowSettings(fair=False, reads=1, writes=1))
    read = bound.enter(request("GET"))
    assert read is not None
    assert bound.enter(request("GET")) is None
    assert bound.enter(request("POST")) is not None
    assert bound.enter(request("POST")) is None
    # and a place that is left can be taken, however often it is left
    bound.leave(read)
    bound.leave(read)
    assert bound.enter(request("GET")) is not None
    assert bound.enter(request("GET")) is None


def test_administrators_and_watches_are_not_bounded_and_nought_is_no_bound() -> None:
    bound = InFlight(FlowSettings(fair=False, reads=1, writes=0))
    bound.enter(request("GET"))
    assert bound.enter(request("GET", ADMIN)) is not None
    assert all(bound.enter(request("GET", query="watch")) is not None for _ in range(3))
    tickets = [bound.enter(request("POST")) for _ in range(300)]
    assert all(ticket is not None and not bound.waits(ticket) for ticket in tickets)
    assert asyncio.run(bound.turn(tickets[0]))  # type: ignore[arg-type]


def test_the_refusal_is_upstreams() -> None:
    answer = InFlight(FlowSettings()).refusal(request("GET"))
    assert (answer.code, answer.body) == (429, b"Too many requests, please try again later.\n")
    assert (b"retry-after", b"1") in answer.headers


@pytest.mark.parametrize(("fair", "reads", "writes", "message"), [
    (True, -1, 5, "can't be negative"), (False, 5, -1, "can't be negative"), (True, 0, 0, "can't both be 0"),
])
def test_flags_that_make_no_sense_are_refused(fair: bool, reads: int, writes: int, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        flow_settings(fair=fair, reads=reads, writes=writes)


def test_flags_become_settings() -> None:
    assert flow_settings(fair=False, reads=0, writes=0) == FlowSettings(fair=False, reads=0, writes=0)
