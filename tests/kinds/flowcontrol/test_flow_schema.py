"""Flow schemas and priority levels."""

from __future__ import annotations

from typing import Any

import pytest

from kinds.core.making import created, findings
from sampan.api import codec
from sampan.api.resources import FLOW_SCHEMAS, PRIORITY_LEVEL_CONFIGURATIONS
from sampan.kinds.flowcontrol import flow_schema, mandatory, priority_level_configuration


def test_the_mandatory_schemas_pass_as_they_are_and_not_otherwise() -> None:
    spec = codec.to_builtins(mandatory.FLOW_SCHEMAS["catch-all"])
    assert findings(FLOW_SCHEMAS, {"metadata": {"name": "catch-all"}, "spec": spec}) == []
    wrong = findings(FLOW_SCHEMAS, {"metadata": {"name": "catch-all"}, "spec": spec | {"matchingPrecedence": 9}})
    assert wrong[0].endswith("spec of 'catch-all' must equal the fixed value")


def test_a_schema_says_what_is_wrong_with_it() -> None:
    spec = {"matchingPrecedence": -1, "rules": [{"subjects": [{"kind": "Thing"}, {"kind": "User", "group": {"name": "g"}}]}]}
    assert findings(FLOW_SCHEMAS, {"metadata": {"name": "a"}, "spec": spec}) == [
        "spec.matchingPrecedence: Invalid value: -1: must be a positive value",
        "spec.priorityLevelConfiguration.name: Required value: must reference a priority level",
        'spec.rules[0].subjects[0].kind: Unsupported value: "Thing": supported values: "Group", "ServiceAccount", "User"',
        "spec.rules[0].subjects[1].user: Required value: user is required when subject kind is 'User'",
        "spec.rules[0].subjects[1].group: Forbidden: group is forbidden when subject kind is not 'Group'",
        "spec.rules[0]: Required value: at least one of resourceRules and nonResourceRules has to be non-empty"]


@pytest.mark.parametrize(("url", "problem"), [
    ("/", ""), ("/healthz", ""), ("/a/*", ""), ("a", "must start with slash"), ("/a//b", "must not contain double slash"),
    ("/a*", "wildcard can only do suffix matching"), ("/a b", "must not contain white-space"), ("", "must not be empty"),
])
def test_paths_of_rules(url: str, problem: str) -> None:
    assert flow_schema.url_problem(url) == problem


def level(name: str = "a", **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": {"type": "Limited", "limited": {"limitResponse": {"type": "Reject"}}} | spec}


def test_a_level_gets_shares_and_queues() -> None:
    limited = {"limitResponse": {"type": "Queue", "queuing": {}}}
    spec = created(PRIORITY_LEVEL_CONFIGURATIONS, level(limited=limited)).spec
    queuing = spec.limited.limitResponse.queuing
    assert (spec.limited.nominalConcurrencyShares, queuing.queues, queuing.handSize, queuing.queueLengthLimit) == (30, 64, 8, 50)


def test_a_level_says_what_is_wrong_with_it() -> None:
    assert findings(PRIORITY_LEVEL_CONFIGURATIONS, level(limited=None)) == [
        "spec.limited: Required value: must not be empty when type is Limited"]
    assert findings(PRIORITY_LEVEL_CONFIGURATIONS, level(limited={})) == [
        "spec.limited.limitResponse.type: Required value"]
    found = findings(PRIORITY_LEVEL_CONFIGURATIONS, level("exempt"))
    assert found[0] == "spec.type: Invalid value: \"Limited\": must be 'Exempt' if and only if `name` is 'exempt'"


def test_hands_are_small_enough_for_one_hash() -> None:
    assert priority_level_configuration.entropy_bits(64, 8) == 48
    queuing = {"queues": 512, "handSize": 8, "queueLengthLimit": 1}
    found = findings(PRIORITY_LEVEL_CONFIGURATIONS, level(limited={"limitResponse": {"type": "Queue", "queuing": queuing}}))
    assert found == ["spec.limited.limitResponse.queuing.handSize: Invalid value: 8: required entropy bits of deckSize 512 and "
                     "handSize 8 should not be greater than 60"]


def test_what_a_level_and_a_schema_lack() -> None:
    assert findings(PRIORITY_LEVEL_CONFIGURATIONS, {"metadata": {"name": "p"}, "spec": {}}) == ["spec.type: Required value"]
    spec = {"priorityLevelConfiguration": {"name": "p"}, "distinguisherMethod": {"type": ""}}
    assert findings(FLOW_SCHEMAS, {"metadata": {"name": "f"}, "spec": spec}) == [
        'spec.distinguisherMethod.type: Unsupported value: {"Type":""}: supported values: "ByNamespace", "ByUser"']
