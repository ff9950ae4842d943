"""ReplicaSets and ControllerRevisions."""

from __future__ import annotations

from typing import Any

from kinds.core.making import changed, created, findings
from sampan.api.resources import CONTROLLER_REVISIONS, REPLICA_SETS
from sampan.kinds.apps import replica_set


def body(**spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "rs"}, "spec": {
        "selector": {"matchLabels": {"app": "rs"}},
        "template": {"metadata": {"labels": {"app": "rs"}}, "spec": {"containers": [{"name": "c", "image": "i:1"}]}},
    } | spec}


def test_labels_of_pods_must_match() -> None:
    assert findings(REPLICA_SETS, body(selector={"matchLabels": {"x": "y"}})) == [
        'spec.template.metadata.labels: Invalid value: {"app":"rs"}: `selector` does not match template `labels`']


def test_pods_may_not_end() -> None:
    template = body()["spec"]["template"] | {"spec": {"containers": [{"name": "c", "image": "i:1"}], "restartPolicy": "Never",
                                                      "activeDeadlineSeconds": 5}}
    assert findings(REPLICA_SETS, body(template=template)) == [
        'spec.template.spec.restartPolicy: Unsupported value: "Never": supported values: "Always"',
        "spec.template.spec.activeDeadlineSeconds: Forbidden: activeDeadlineSeconds in ReplicaSet is not Supported"]


def test_counts_of_a_status_fit_together() -> None:
    old = created(REPLICA_SETS, body())
    _, wrong = changed(REPLICA_SETS, old, {"status": {"replicas": 1, "availableReplicas": 2}}, "status")
    assert wrong == ["status.availableReplicas: Invalid value: 2: cannot be greater than status.replicas",
                     "status.availableReplicas: Invalid value: 2: cannot be greater than readyReplicas"]
    assert replica_set.KIND.fields["status.replicas"](old) == "0"


def test_the_data_of_a_revision_stays() -> None:
    old = created(CONTROLLER_REVISIONS, {"metadata": {"name": "r"}, "revision": 1, "data": {"a": 1}})
    assert changed(CONTROLLER_REVISIONS, old, {"data": {"a": 2}})[1] == [
        'data: Invalid value: {"a":2}: field is immutable']
    assert findings(CONTROLLER_REVISIONS, {"metadata": {"name": "r"}, "revision": -1}) == [
        "revision: Invalid value: -1: must be greater than or equal to 0", "data: Required value: data is mandatory"]
    assert findings(CONTROLLER_REVISIONS, {"metadata": {"name": "r"}, "revision": 1, "data": [1]}) == [
        "data: Required value: data must be a valid JSON object"]


def test_findings_about_the_spec_are_told_once_on_an_update() -> None:
    finding = "spec.replicas: Invalid value: -1: must be greater than or equal to 0"
    assert changed(REPLICA_SETS, created(REPLICA_SETS, body()), {"spec": {"replicas": -1}})[1] == [finding]
