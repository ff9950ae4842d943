"""The status of Jobs: short tables of a change and what is said about it."""

from __future__ import annotations

from typing import Any

import pytest

from kinds.core.making import changed, created
from sampan.api import codec
from sampan.api.resources import JOBS

START, LATER = "2026-01-01T00:00:00Z", "2026-01-01T00:05:00Z"
INDEXED = {"completionMode": "Indexed", "completions": 5, "parallelism": 2}


def job(spec: dict[str, Any], status: dict[str, Any]) -> Any:
    body = {"metadata": {"name": "j", "uid": "u"}, "spec": {"template": {"spec": {
        "restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}}} | spec}
    made = created(JOBS, body)
    made.status = codec.convert(type(made.status), status)
    return made


def true(*types: str) -> list[dict[str, str]]:
    return [{"type": type, "status": "True"} for type in types]


ENDED = {"startTime": START, "completionTime": LATER, "succeeded": 1, "conditions": true("SuccessCriteriaMet", "Complete")}

CASES: list[tuple[dict[str, Any], dict[str, Any], dict[str, Any], list[str]]] = [
    ({}, {"startTime": START}, ENDED, []),
    ({}, {}, {"startTime": START, "completionTime": LATER, "conditions": true("Complete", "Failed", "FailureTarget")}, [
        "status.conditions: Invalid value: cannot set Complete=True and Failed=true conditions",
        "status.conditions: Invalid value: cannot set Complete=True and FailureTarget=true conditions",
        "status.conditions: Invalid value: cannot set Complete=True condition without the SuccessCriteriaMet=true condition"]),
    ({}, {}, {"startTime": START, "completionTime": LATER}, [
        f'status.completionTime: Invalid value: "{LATER}": cannot set completionTime when there is no Complete=True condition']),
    ({}, {}, {"startTime": START, "conditions": true("SuccessCriteriaMet", "Complete")}, [
        "status.completionTime: Required value: completionTime is required for Complete jobs"]),
    ({}, {}, {"startTime": LATER, "completionTime": START, "conditions": true("SuccessCriteriaMet", "Complete")}, [
        f'status.completionTime: Invalid value: "{START}": must be equal to or after `startTime`']),
    ({}, {}, {"active": 1, "uncountedTerminatedPods": {"failed": ["a"]}, "conditions": true("Failed")}, [
        "status.conditions: Invalid value: cannot set Failed=True condition without the FailureTarget=true condition",
        "status.active: Invalid value: 1: active>0 is invalid for finished job",
        "status.startTime: Required value: startTime is required for finished job",
        'status.uncountedTerminatedPods: Invalid value: {"Succeeded":null,"Failed":["a"]}: '
        "must be empty for finished job"]),
    ({}, {}, {"startTime": START, "terminating": 2, "active": 1, "ready": 2, "conditions": true("FailureTarget", "Failed")}, [
        "status.active: Invalid value: 1: active>0 is invalid for finished job",
        "status.terminating: Invalid value: 2: terminating>0 is invalid for finished job",
        "status.ready: Invalid value: 2: cannot set more ready pods than active"]),
    ({}, {"conditions": true("Failed"), "startTime": START, "ready": 2, "terminating": 1}, {
        "conditions": true("Failed"), "startTime": START, "ready": 2, "terminating": 1, "succeeded": 1}, []),
    ({"suspend": True, "completions": 0}, {}, {"completionTime": LATER, "conditions": true("SuccessCriteriaMet", "Complete")}, []),
    ({}, {}, {"uncountedTerminatedPods": {"succeeded": ["a", ""], "failed": ["a"]}}, [
        'status.uncountedTerminatedPods.succeeded[1]: Invalid value: "": must not be empty',
        'status.uncountedTerminatedPods.failed[0]: Duplicate value: "a"']),
    (INDEXED | {"backoffLimitPerIndex": 1}, {}, {"completedIndexes": "1,7", "failedIndexes": "1"}, [
        'status.completedIndexes: Invalid value: "1,7": error parsing completedIndexes: too large index: "7"',
        'status.failedIndexes: Invalid value: "1": failedIndexes and completedIndexes overlap at index: 1']),
    ({}, {}, {"completedIndexes": "0", "failedIndexes": ""}, [
        'status.completedIndexes: Invalid value: "0": cannot set non-empty completedIndexes when non-indexed completion mode',
        'status.failedIndexes: Invalid value: "": cannot set non-null failedIndexes when backoffLimitPerIndex is null']),
    (INDEXED, {"completedIndexes": "9"}, {"completedIndexes": "9", "active": 1}, []),
    (INDEXED | {"successPolicy": {"rules": [{"succeededCount": 1}]}}, {},
     {"startTime": START, "completionTime": LATER, "conditions": true("Complete")}, [
        "status.conditions: Invalid value: cannot set Complete=True condition without the SuccessCriteriaMet=true condition",
        "status.conditions: Invalid value: cannot set Complete=True for Job with SuccessPolicy unless SuccessCriteriaMet=True"]),
    ({}, {}, {"startTime": START, "conditions": true("SuccessCriteriaMet", "FailureTarget", "Failed")}, [
        "status.conditions: Invalid value: cannot set SuccessCriteriaMet=True and Failed=true conditions",
        "status.conditions: Invalid value: cannot set SuccessCriteriaMet=True and FailureTarget=true conditions"]),
    ({}, ENDED, {"startTime": START}, [
        "status.conditions: Invalid value: cannot disable the terminal Complete=True condition",
        "status.succeeded: Invalid value: 0: cannot decrease the succeeded counter",
        "status.conditions: Invalid value: cannot disable the SuccessCriteriaMet=True condition"]),
    ({}, ENDED, ENDED | {"completionTime": "2026-01-01T00:06:00Z"}, [
        'status.completionTime: Invalid value: "2026-01-01T00:06:00Z": field is immutable']),
    ({}, {"failed": 2, "startTime": START}, {"failed": 1}, [
        "status.failed: Invalid value: 1: cannot decrease the failed counter",
        "status.startTime: Invalid value: null: field is immutable for unsuspended job once set"]),
    ({"suspend": True}, {"startTime": START}, {}, []),
    ({}, {"startTime": START, "conditions": true("Suspended")}, {"startTime": LATER, "conditions": [{"type": "Suspended", "status": "False"}]}, []),
    ({}, {"startTime": START}, {"startTime": LATER}, [
        f'status.startTime: Invalid value: "{LATER}": field is immutable for unsuspended job once set']),
    (INDEXED | {"parallelism": 5}, {"succeeded": 5}, {"succeeded": 3}, []),
]


@pytest.mark.parametrize(("spec", "before", "after", "said"), CASES)
def test_a_change_of_the_status_is_held_to_the_rules(spec: dict[str, Any], before: dict[str, Any], after: dict[str, Any],
                                                     said: list[str]) -> None:
    removed = {key: None for key in before if key not in after}
    assert changed(JOBS, job(spec, before), {"status": {"conditions": None} | after | removed}, "status")[1] == said
