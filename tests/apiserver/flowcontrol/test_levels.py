"""What becomes of the objects: levels, seats, conditions."""

from __future__ import annotations

from typing import Any

from sampan.api import codec
from sampan.api.flowcontrol.v1 import FlowSchema, PriorityLevelConfiguration
from sampan.apiserver.flowcontrol.controller import mandatory_objects
from sampan.apiserver.flowcontrol.levels import Levels
from sampan.apiserver.flowcontrol.queueset import Queuing
from sampan.apiserver.flowcontrol.upkeep import objects

FRESH = objects()
CONFIGS = [one for one in FRESH if one.kind == "PriorityLevelConfiguration"]
SCHEMAS = [one for one in FRESH if one.kind == "FlowSchema"]


def config(name: str, shares: int, *, queues: int = 0, **more: Any) -> PriorityLevelConfiguration:
    response = {"type": "Queue", "queuing": {"queues": queues, "handSize": 1, "queueLengthLimit": 1000}} if queues else {"type": "Reject"}
    return codec.convert(PriorityLevelConfiguration, {"metadata": {"name": name, "uid": f"{name}-uid"}, "spec": {
        "type": "Limited", "limited": {"nominalConcurrencyShares": shares, "limitResponse": response, **more}}})


def schema(name: str, to: str, precedence: int = 1000) -> FlowSchema:
    return codec.convert(FlowSchema, {"metadata": {"name": name}, "spec": {
        "priorityLevelConfiguration": {"name": to}, "matchingPrecedence": precedence, "rules": []}})


def fresh(seats: int = 600) -> Levels:
    levels = Levels(seats, mandatory_objects())
    levels.digest(CONFIGS, SCHEMAS, 0.0)
    return levels


def test_a_fresh_server_divides_six_hundred_seats_as_upstream_does() -> None:
    nominal = {name: level.nominal for name, level in fresh().by_name.items()}
    # 245 shares; rounded up
    assert nominal == {"catch-all": 13, "exempt": 0, "global-default": 49, "leader-election": 25, "node-high": 98, "system": 74,
                       "workload-high": 98, "workload-low": 245}
    bounds = fresh().by_name["workload-low"]
    assert (bounds.least, bounds.most, bounds.most_seats) == (24, 845, 37)


def test_without_objects_the_mandatory_ones_are_in_force() -> None:
    levels = Levels(600, mandatory_objects())
    levels.digest([], [], 0.0)
    assert [(name, level.queuing.queues, level.current) for name, level in levels.by_name.items()] == [("catch-all", 0, 600), ("exempt", -1, 0)]
    assert [one.metadata.name for one in levels.schemas] == ["exempt", "catch-all"]


def test_schemas_are_tried_by_precedence_and_name() -> None:
    levels = fresh()
    levels.digest(CONFIGS, [*SCHEMAS, schema("b", "system", 500), schema("a", "system", 500)], 0.0)
    names = [one.metadata.name for one in levels.schemas]
    assert names[0] == "exempt"
    assert names[-1] == "catch-all"
    assert names.index("b") - names.index("a") == 1


def test_a_schema_that_leads_nowhere_is_not_used_and_says_so() -> None:
    levels = fresh()
    wanted = levels.digest(CONFIGS, [schema("lost", "nowhere")], 0.0)
    assert [(one.schema.metadata.name, one.status, one.reason, one.message) for one in wanted] == [(
        "lost", "True", "NotFound",
        'This FlowSchema references the PriorityLevelConfiguration object named "nowhere" but there is no such object')]
    assert "lost" not in [one.metadata.name for one in levels.schemas]
    # and when the level is made, and the condition was written
    lost = schema("lost", "nowhere")
    found = levels.digest([*CONFIGS, config("nowhere", 10)], [lost], 0.0)
    assert [(one.status, one.reason) for one in found] == [("False", "Found")]
    lost.status.conditions = codec.convert(FlowSchema, {"status": {"conditions": [{
        "type": "Dangling", "status": "False", "reason": "Found", "message": found[0].message}]}}).status.conditions
    assert levels.digest([*CONFIGS, config("nowhere", 10)], [lost], 0.0) == []


def test_a_level_that_contradicts_itself_is_left_out() -> None:
    broken = config("broken", 10, queues=2)
    broken.spec.limited.limitResponse.type = "Reject"  # type: ignore[union-attr]
    wide = config("wide", 10, queues=2)
    wide.spec.limited.limitResponse.queuing.handSize = 3  # type: ignore[union-attr]
    levels = fresh()
    levels.digest([*CONFIGS, broken, wide], SCHEMAS, 0.0)
    assert "broken" not in levels.by_name
    assert "wide" not in levels.by_name


def test_a_level_that_is_deleted_goes_when_its_last_request_is_done() -> None:
    levels = fresh()
    levels.digest([*CONFIGS, config("mine", 10)], SCHEMAS, 0.0)
    mine = levels.by_name["mine"]
    ticket = mine.set.start(mine.tally("s"), 0, "", 1.0)
    assert ticket is not None
    levels.digest(CONFIGS, SCHEMAS, 2.0)
    assert levels.by_name["mine"].quiescing
    mine.set.finish(ticket, 3.0)
    levels.digest(CONFIGS, SCHEMAS, 4.0)
    assert "mine" not in levels.by_name


def test_a_level_that_comes_back_in_time_is_the_same() -> None:
    levels = fresh()
    levels.digest([config("mine", 10)], [], 0.0)
    mine = levels.by_name["mine"]
    mine.set.start(mine.tally("s"), 0, "", 1.0)
    levels.digest([], [], 2.0)
    levels.digest([config("mine", 10, queues=4)], [], 3.0)
    assert levels.by_name["mine"] is mine
    assert (mine.quiescing, mine.queuing, len(mine.set.queues)) == (False, Queuing(4, 1, 1000), 4)


def test_busy_levels_borrow_from_idle_ones_and_give_back() -> None:
    # given a level that lends everything and one that lends nothing
    levels = Levels(100, mandatory_objects())
    configs = [config("busy", 50, queues=1, lendablePercent=0), config("idle", 50, queues=1, lendablePercent=100)]
    levels.digest(configs, [], 0.0)
    busy, idle = levels.by_name["busy"], levels.by_name["idle"]
    assert (busy.nominal, idle.nominal, idle.least) == (48, 48, 0)
    # when the one has more requests than seats for some periods
    tickets = [busy.set.start(busy.tally("s"), 0, "", 0.0) for _ in range(500)]
    for period in range(1, 4):
        levels.adjust(period * 10.0)
    # then it has nearly everything
    assert busy.current > 85
    assert busy.set.seats_in_use == busy.set.limit == busy.current
    # and when the other one wants its own, it has it at the next adjustment
    for _ in range(60):
        idle.set.start(idle.tally("s"), 0, "", 35.0)
    levels.adjust(40.0)
    assert idle.current >= 48
    assert len(tickets) == 500


def test_borrowing_ends_at_its_limit() -> None:
    levels = Levels(100, mandatory_objects())
    levels.digest([config("busy", 50, queues=1, borrowingLimitPercent=10), config("idle", 50, queues=1, lendablePercent=100)], [], 0.0)
    busy = levels.by_name["busy"]
    for _ in range(500):
        busy.set.start(busy.tally("s"), 0, "", 0.0)
    levels.adjust(10.0)
    assert busy.current == busy.most == 53


def test_seats_are_never_below_what_is_not_lent() -> None:
    levels = fresh()
    system, low = levels.by_name["system"], levels.by_name["workload-low"]
    for _ in range(2000):
        low.set.start(low.tally("s"), 7, "", 0.0)
    for period in range(1, 30):
        levels.adjust(period * 10.0)
        assert all(level.least <= level.current <= level.most for level in levels.by_name.values() if not level.exempt)
    assert 50 == system.least <= system.current < 60 < system.nominal
    assert low.current > low.nominal
