"""Deployments."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from kinds.core.making import changed, created, findings
from sampan.api.resources import DEPLOYMENTS
from sampan.kinds.apps import deployment

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def body(**spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "web"}, "spec": {
        "selector": {"matchLabels": {"app": "web"}},
        "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "nginx:1.27"}]}},
    } | spec}


@pytest.mark.parametrize(("surge", "unavailable", "replicas", "expected"), [
    ("25%", "25%", 4, (1, 1)), ("25%", "25%", 10, (3, 2)), (0, 0, 3, (0, 1)), ("0%", "10%", 3, (0, 1)), (2, 1, 3, (2, 1)),
])
def test_surge_is_rounded_up_and_unavailable_down_and_one_of_them_is_left(
    surge: int | str, unavailable: int | str, replicas: int, expected: tuple[int, int],
) -> None:
    assert deployment.fenceposts(surge, unavailable, replicas) == expected


def test_a_rollout_never_misses_more_pods_than_there_are() -> None:
    rolling = created(DEPLOYMENTS, body(replicas=2, strategy={"rollingUpdate": {"maxUnavailable": 5}}))
    assert (deployment.max_surge(rolling), deployment.max_unavailable(rolling), deployment.min_available(rolling)) == (1, 2, 0)
    recreated = created(DEPLOYMENTS, body(strategy={"type": "Recreate"}))
    assert (deployment.max_surge(recreated), deployment.max_unavailable(recreated)) == (0, 0)


def test_defaults_are_upstreams() -> None:
    spec = created(DEPLOYMENTS, body()).spec
    assert (spec.replicas, spec.revisionHistoryLimit, spec.progressDeadlineSeconds, spec.strategy.type) == (
        1, 10, 600, "RollingUpdate")
    assert (spec.strategy.rollingUpdate.maxSurge, spec.strategy.rollingUpdate.maxUnavailable) == ("25%", "25%")


def test_generation_moves_with_spec_and_annotations_but_not_with_status() -> None:
    old = created(DEPLOYMENTS, body())
    assert changed(DEPLOYMENTS, old, {"spec": {"replicas": 3}})[0].metadata.generation == 2
    assert changed(DEPLOYMENTS, old, {"metadata": {"annotations": {"a": "b"}}})[0].metadata.generation == 2
    new, _ = changed(DEPLOYMENTS, old, {"metadata": {"labels": {"a": "b"}}, "status": {"replicas": 9}})
    assert (new.metadata.generation, new.status.replicas) == (1, 0)


def test_a_status_write_leaves_the_spec_and_labels_alone() -> None:
    old = created(DEPLOYMENTS, body())
    new, wrong = changed(DEPLOYMENTS, old, {"metadata": {"labels": {"a": "b"}}, "spec": {"replicas": 5},
                                            "status": {"replicas": 1, "readyReplicas": 2}}, "status")
    assert (new.spec.replicas, new.metadata.labels, new.status.replicas) == (1, {}, 1)
    assert wrong == ["status.readyReplicas: Invalid value: 2: cannot be greater than status.replicas"]


def test_an_empty_deployment_lacks_selector_and_containers() -> None:
    found = findings(DEPLOYMENTS, {"metadata": {"name": "a"}, "spec": {}})
    assert found[:2] == ["spec.selector: Required value",
                         "spec.template.metadata.labels: Invalid value: null: `selector` does not match template `labels`"]
    assert "spec.template.spec.containers: Required value" in found


@pytest.mark.parametrize(("spec", "expected"), [
    ({"selector": {}}, "spec.selector: Invalid value: {}: empty selector is invalid for deployment"),
    ({"strategy": {"type": "Recreate", "rollingUpdate": {"maxSurge": 1}}},
     "spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is 'Recreate'"),
    ({"strategy": {"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 0}}},
     "spec.strategy.rollingUpdate.maxUnavailable: Invalid value: 0: may not be 0 when `maxSurge` is 0"),
    ({"minReadySeconds": 700}, "spec.progressDeadlineSeconds: Invalid value: 600: must be greater than minReadySeconds"),
])
def test_what_is_wrong_is_said_in_upstreams_words(spec: dict[str, Any], expected: str) -> None:
    assert findings(DEPLOYMENTS, body(**spec)) == [expected]


def test_the_selector_stays() -> None:
    old = created(DEPLOYMENTS, body())
    change = {"spec": {"selector": {"matchLabels": {"x": "y"}}, "template": {"metadata": {"labels": {"x": "y"}}}}}
    assert changed(DEPLOYMENTS, old, change)[1] == [
        'spec.selector: Invalid value: {"matchLabels":{"app":"web","x":"y"}}: field is immutable']


def test_scale_reads_and_writes_replicas_and_tells_the_selector() -> None:
    obj, scale = created(DEPLOYMENTS, body(replicas=3)), deployment.KIND.scale
    assert scale is not None
    scale.set_replicas(obj, 7)
    assert (scale.replicas(obj), scale.status_replicas(obj), scale.selector(obj)) == (7, 0, "app=web")


def test_a_name_that_is_no_host_name_warns() -> None:
    long = created(DEPLOYMENTS, body() | {"metadata": {"name": "d" * 64}})
    assert deployment.KIND.warnings(long, None)[0] == (
        "metadata.name: this is used in Pod names and hostnames, which can result in surprising behavior; a DNS label is "
        "recommended: [must be no more than 63 characters]")


def test_a_deployment_is_printed_with_its_progress() -> None:
    cells = {column.name: column.value(created(DEPLOYMENTS, body(replicas=3)), NOW) for column in deployment.KIND.columns}
    assert (cells["Ready"], cells["Containers"], cells["Images"], cells["Selector"]) == ("0/3", "c", "nginx:1.27", "app=web")
