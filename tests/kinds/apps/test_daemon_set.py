"""DaemonSets."""

from __future__ import annotations

from typing import Any

import pytest

from kinds.core.making import changed, created, findings
from sampan.api.resources import DAEMON_SETS
from sampan.kinds.apps import daemon_set


def body(**spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "ds"}, "spec": {
        "selector": {"matchLabels": {"app": "ds"}},
        "template": {"metadata": {"labels": {"app": "ds"}}, "spec": {"containers": [{"name": "c", "image": "i:1"}]}},
    } | spec}


def test_the_template_generation_counts_changes_of_the_template_only() -> None:
    old = created(DAEMON_SETS, body())
    assert daemon_set.template_generation(old) == 1
    new, _ = changed(DAEMON_SETS, old, {"spec": {"minReadySeconds": 5}, "metadata": {"annotations": {
        daemon_set.TEMPLATE_GENERATION: "99"}}})
    assert (new.metadata.generation, daemon_set.template_generation(new)) == (2, 1)
    new, _ = changed(DAEMON_SETS, old, {"spec": {"template": {"metadata": {"annotations": {"a": "b"}}}}})
    assert (new.metadata.generation, daemon_set.template_generation(new)) == (2, 2)


def test_what_changed_is_said_before_what_is_wrong() -> None:
    old = created(DAEMON_SETS, body())
    found = changed(DAEMON_SETS, old, {"spec": {"selector": {"matchLabels": {"app": "x"}}, "minReadySeconds": -1}})[1]
    assert [one.partition(":")[0] for one in found] == ["spec.selector", "spec.template.metadata.labels", "spec.minReadySeconds"]


def test_an_unknown_strategy_is_shown_under_gos_names() -> None:
    assert findings(DAEMON_SETS, body(updateStrategy={"type": "Odd", "rollingUpdate": {"maxSurge": 1}})) == [
        'spec.updateStrategy: Unsupported value: {"Type":"Odd","RollingUpdate":{"MaxUnavailable":0,"MaxSurge":1}}: '
        'supported values: "RollingUpdate", "OnDelete"']


def test_warnings_about_pods_come_when_the_template_changes() -> None:
    template = body()["spec"]["template"] | {"spec": {"nodeSelector": {"beta.kubernetes.io/os": "x"}, "containers": [{"name": "c", "image": "i:1"}]}}
    old = created(DAEMON_SETS, body(template=template))
    assert len(daemon_set.KIND.warnings(old, None)) == 1
    assert daemon_set.KIND.warnings(changed(DAEMON_SETS, old, {"spec": {"minReadySeconds": 5}})[0], old) == []


def test_percentages_of_nodes_are_rounded_up() -> None:
    obj = created(DAEMON_SETS, body(updateStrategy={"rollingUpdate": {"maxUnavailable": "20%"}}))
    assert (daemon_set.max_unavailable(obj, 11), daemon_set.max_surge(obj, 11)) == (3, 0)
    waiting = created(DAEMON_SETS, body(updateStrategy={"type": "OnDelete"}))
    assert daemon_set.max_unavailable(waiting, 11) == 0


@pytest.mark.parametrize(("spec", "expected"), [
    ({"updateStrategy": {"rollingUpdate": {"maxUnavailable": 1, "maxSurge": 1}}},
     ["spec.updateStrategy.rollingUpdate.maxSurge: Invalid value: 1: may not be set when maxUnavailable is non-zero"]),
    ({"updateStrategy": {"rollingUpdate": {"maxUnavailable": 0}}},
     ["spec.updateStrategy.rollingUpdate.maxUnavailable: Required value: cannot be 0 when maxSurge is 0"]),
    ({"selector": {}}, ["spec.selector: Invalid value: {}: empty selector is invalid for daemonset"]),
])
def test_what_is_wrong_is_said_in_upstreams_words(spec: dict[str, Any], expected: list[str]) -> None:
    assert findings(DAEMON_SETS, body(**spec)) == expected


def test_the_template_generation_survives_writes_of_the_status() -> None:
    old = created(DAEMON_SETS, body())
    new, wrong = changed(DAEMON_SETS, old, {"metadata": {"annotations": {}}, "status": {"desiredNumberScheduled": 1}}, "status")
    assert (daemon_set.template_generation(new), wrong) == (1, [])
