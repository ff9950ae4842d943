"""How pods start and what subresources keep."""

from __future__ import annotations

from kinds.core.making import changed, pod
from sampan.api.core.v1 import PodCondition
from sampan.api.resources import PODS


def test_a_new_pod_is_pending_whatever_its_creator_says() -> None:
    made = pod()
    assert (made.status.phase, made.status.qosClass, made.metadata.generation) == ("Pending", "BestEffort", 1)


def test_a_gated_pod_says_that_it_waits() -> None:
    made = pod({"schedulingGates": [{"name": "g"}]})
    assert [(one.type, one.status, one.reason) for one in made.status.conditions] == [("PodScheduled", "False", "SchedulingGated")]


def test_keys_of_labels_become_part_of_the_selector() -> None:
    made = pod({"topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "z", "whenUnsatisfiable": "DoNotSchedule",
                                               "matchLabelKeys": ["v", "none"], "labelSelector": {}}]}, labels={"v": "1"})
    selector = made.spec.topologySpreadConstraints[0].labelSelector
    assert selector is not None
    assert [(one.key, one.operator, one.values) for one in selector.matchExpressions] == [("v", "In", ["1"])]


def test_an_update_keeps_the_status_and_moves_the_generation_with_the_spec() -> None:
    old = pod()
    labelled, errors = changed(PODS, old, {"metadata": {"labels": {"a": "b"}}, "status": {"phase": "Running"}})
    assert (labelled.status.phase, labelled.metadata.generation, errors) == ("Pending", 1, [])
    moved, _ = changed(PODS, old, {"spec": {"activeDeadlineSeconds": 5}})
    assert moved.metadata.generation == 2


def test_a_status_write_keeps_the_spec_and_what_was_observed() -> None:
    old = pod()
    old.status.observedGeneration = 7
    old.status.conditions = [PodCondition(type="Ready", status="False", observedGeneration=7)]
    new, errors = changed(PODS, old, {"spec": {"nodeName": "x"}, "status": {
        "phase": "Running", "qosClass": None, "observedGeneration": None, "podIP": "10.0.0.1",
        "conditions": [{"type": "Ready", "status": "True"}]}}, "status")
    assert errors == []
    assert (new.spec.nodeName, new.status.phase, new.status.qosClass) == ("", "Running", "BestEffort")
    assert (new.status.observedGeneration, new.status.conditions[0].observedGeneration) == (7, 7)
    assert [one.ip for one in new.status.podIPs] == ["10.0.0.1"]


def test_a_resize_changes_resources_alone() -> None:
    old = pod({"containers": [{"name": "c", "image": "x", "resources": {"requests": {"cpu": "1"}}}]})
    new, errors = changed(PODS, old, {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [
        {"name": "c", "image": "other", "resources": {"requests": {"cpu": "2"}}}]}}, "resize")
    container = new.spec.containers[0]
    assert (errors, container.image, container.resources.requests, new.metadata.generation) == ([], "x", {"cpu": "2"}, 2)
    assert new.metadata.labels == {}


def test_ephemeral_containers_are_added_through_their_own_door() -> None:
    new, errors = changed(PODS, pod(), {"spec": {"nodeName": "x", "ephemeralContainers": [{"name": "d", "image": "x"}]}}, "ephemeralcontainers")
    assert errors == []
    assert (new.spec.nodeName, [one.name for one in new.spec.ephemeralContainers], new.metadata.generation) == ("", ["d"], 2)
