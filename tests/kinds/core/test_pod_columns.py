"""How pods are printed."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from kinds.core.making import pod
from sampan.api import codec
from sampan.api.core.v1 import PodStatus
from sampan.api.scalars import Time
from sampan.kinds.core.pod_columns import COLUMNS, row_conditions

NOW = datetime(2026, 1, 1, 0, 10, tzinfo=UTC)
TWO = {"containers": [{"name": "a", "image": "x"}, {"name": "b", "image": "x"}], "initContainers": [
    {"name": "i", "image": "x"}, {"name": "s", "image": "x", "restartPolicy": "Always"}]}


def status(name: str, restarts: int = 0, ready: bool = False, **more: Any) -> dict[str, Any]:
    return {"name": name, "restartCount": restarts, "ready": ready, "image": "", "imageID": ""} | more


RUNNING = {"state": {"running": {"startedAt": None}}}
DONE = {"state": {"terminated": {"exitCode": 0, "reason": "Completed"}}}
CRASHED = {"state": {"waiting": {"reason": "CrashLoopBackOff"}},
           "lastState": {"terminated": {"exitCode": 1, "finishedAt": "2026-01-01T00:05:00Z"}}}
INITIALIZED = {"initContainerStatuses": [status("i", **DONE), status("s", ready=True, started=True, **RUNNING)]}

CASES: list[tuple[dict[str, Any], list[str]]] = [
    ({}, ["0/3", "Pending", "0"]),
    ({"initContainerStatuses": [status("i", **RUNNING), status("s")]}, ["0/3", "Init:0/2", "0"]),
    ({"initContainerStatuses": [status("i", 2, **CRASHED), status("s")]}, ["0/3", "Init:CrashLoopBackOff", "2 (5m ago)"]),
    ({"initContainerStatuses": [status("i", state={"terminated": {"exitCode": 3}}), status("s")]}, ["0/3", "Init:ExitCode:3", "0"]),
    ({"initContainerStatuses": [status("i", **DONE), status("s", started=False, **RUNNING)]}, ["0/3", "Init:1/2", "0"]),
    (INITIALIZED | {"phase": "Running", "containerStatuses": [status("a", ready=True, **RUNNING), status("b", ready=True, **RUNNING)]},
     ["3/3", "Running", "0"]),
    (INITIALIZED | {"phase": "Running", "containerStatuses": [status("a", ready=True, **RUNNING), status("b", 4, **CRASHED)]},
     ["2/3", "CrashLoopBackOff", "4 (5m ago)"]),
    (INITIALIZED | {"phase": "Running", "containerStatuses": [status("a", **DONE), status("b", ready=True, **RUNNING)]},
     ["2/3", "NotReady", "0"]),
    ({"phase": "Succeeded", "containerStatuses": [status("a", **DONE), status("b", **DONE)]}, ["0/3", "Completed", "0"]),
    ({"phase": "Failed", "containerStatuses": [status("a", **DONE), status("b", state={"terminated": {
        "exitCode": 3, "reason": "Error"}})]}, ["0/3", "Error", "0"]),
    ({"phase": "Failed", "reason": "Evicted"}, ["0/3", "Evicted", "0"]),
    ({"phase": "Failed", "containerStatuses": [status("a", state={"terminated": {"exitCode": 0, "signal": 9}})]}, ["0/3", "Signal:9", "0"]),
    ({"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}]},
     ["0/3", "SchedulingGated", "0"]),
]


@pytest.mark.parametrize(("said", "cells"), CASES)
def test_ready_status_and_restarts_follow_the_containers(said: dict[str, Any], cells: list[str]) -> None:
    made = pod(TWO)
    made.status = codec.convert(PodStatus, {"phase": "Pending"} | said)
    assert [column.value(made, NOW) for column in COLUMNS[1:4]] == cells


def test_a_pod_that_is_being_deleted_terminates() -> None:
    made = pod()
    made.metadata.deletionTimestamp = Time("2026-01-01T00:00:00Z")
    assert COLUMNS[2].value(made, NOW) == "Terminating"
    made.status.reason = "NodeLost"
    assert COLUMNS[2].value(made, NOW) == "Unknown"


def test_wide_columns_say_none_where_there_is_nothing() -> None:
    assert [column.value(pod({"readinessGates": [{"conditionType": "x"}]}), NOW) for column in COLUMNS[5:]] == ["<none>", "<none>", "<none>", "0/1"]


def test_the_row_of_a_pod_that_ended_says_so() -> None:
    made = pod()
    assert row_conditions(made) == []
    made.status.phase = "Failed"
    assert row_conditions(made) == [{"type": "Completed", "status": "True", "reason": "Failed", "message": "The pod failed."}]
