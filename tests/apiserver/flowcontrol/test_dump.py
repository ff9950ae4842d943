"""The debugging pages: columns as upstream's tab writer pads them."""

from __future__ import annotations

from datetime import UTC, datetime

from sampan.apiserver.flowcontrol.dump import Moments, dump, table
from sampan.apiserver.flowcontrol.estimate import Work
from sampan.apiserver.flowcontrol.levels import Level
from sampan.apiserver.flowcontrol.queueset import QueueSet, Queuing
from sampan.apiserver.parse import parse
from sampan.apiserver.request import User

NOW = datetime(2026, 1, 1, 0, 0, 10, tzinfo=UTC)


def busy_level() -> Level:
    level = Level("busy")
    level.queuing = Queuing(2, 1, 5)
    level.set = QueueSet(level.queuing, 1, 0.0)
    for second, who in ((1.5, "a"), (2.0, "b")):
        ticket = level.set.start(level.tally("s"), 0, who, second, Work(1, 2, 0.005))
        assert ticket is not None
        ticket.about = parse("GET", "/apis/apps/v1/namespaces/n/deployments/d", {}, {})
        ticket.about.user = User(who)
    return level


def test_columns_are_padded_to_the_widest_and_to_eight() -> None:
    assert table(("A", "Longer name", "Last"), [("a", "b", "c"), ("a long cell", "b", "")]) == (
        "A,           Longer name, Last\n"
        "a,           b,           c\n"
        "a long cell, b,           \n")
    assert table(("A", "B"), []) == "A,      B\n"


def test_levels_queues_and_requests() -> None:
    level = busy_level()
    pages = {what: (dump(what, [level], monotonic=10.0, now=NOW) or "").splitlines()
             for what in ("dump_priority_levels", "dump_queues", "dump_requests")}
    assert [cell.strip() for cell in pages["dump_priority_levels"][1].split(",")] == [
        "busy", "1", "false", "false", "1", "1", "1", "0", "0", "0"]
    assert [cell.strip() for cell in pages["dump_queues"][1].split(",")] == [
        "busy", "0", "1", "1", "2", "0.50000000ss", "1", "2", "0.01300000ss"]
    assert len(pages["dump_queues"]) == 3
    waiting, executing = ([cell.strip() for cell in line.split(",")] for line in pages["dump_requests"][1:])
    assert waiting == ["busy", "s", "0", "0", "b", "2026-01-01T00:00:02Z", "1", "2", "5ms", "0001-01-01T00:00:00Z"]
    assert executing == ["busy", "s", "0", "-1", "a", "2026-01-01T00:00:01.5Z", "1", "2", "5ms", "2026-01-01T00:00:01.5Z"]


def test_details_name_the_user_and_what_is_asked_for() -> None:
    text = dump("dump_requests", [busy_level()], monotonic=10.0, now=NOW, details=True) or ""
    assert [cell.strip() for cell in text.splitlines()[1].split(",")][10:] == [
        "b", "get", "/apis/apps/v1/namespaces/n/deployments/d", "n", "d", "apps/v1", "deployments", ""]


def test_there_are_no_other_pages() -> None:
    assert dump("dump_everything", [], monotonic=0.0, now=NOW) is None


def test_steady_time_becomes_wall_time() -> None:
    assert Moments(10.0, NOW).text(9.875) == "2026-01-01T00:00:09.875Z"
