"""StatefulSets."""

from __future__ import annotations

from typing import Any

import pytest

from kinds.core.making import changed, created, findings
from sampan.api.resources import STATEFUL_SETS
from sampan.kinds.apps import stateful_set


def body(**spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "db"}, "spec": {
        "serviceName": "db", "selector": {"matchLabels": {"app": "db"}},
        "template": {"metadata": {"labels": {"app": "db"}}, "spec": {"containers": [{"name": "c", "image": "i:1"}]}},
        "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": {
            "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}],
    } | spec}


def test_defaults_are_upstreams() -> None:
    spec = created(STATEFUL_SETS, body()).spec
    assert (spec.podManagementPolicy, spec.updateStrategy.type, spec.updateStrategy.rollingUpdate.partition) == (
        "OrderedReady", "RollingUpdate", 0)
    claim = spec.volumeClaimTemplates[0]
    assert (claim.kind, claim.apiVersion, claim.status.phase) == ("PersistentVolumeClaim", "v1", "Pending")


def test_containers_may_mount_what_the_claim_templates_make_and_nothing_else() -> None:
    def mounting(name: str) -> dict[str, Any]:
        container = {"name": "c", "image": "i:1", "volumeMounts": [{"name": name, "mountPath": "/data"}]}
        return body(template={"metadata": {"labels": {"app": "db"}}, "spec": {"containers": [container]}})

    assert findings(STATEFUL_SETS, mounting("data")) == []
    assert findings(STATEFUL_SETS, mounting("other")) == ['spec.template.spec.containers[0].volumeMounts[0].name: Not found: "other"']


def test_most_of_the_spec_stays() -> None:
    old = created(STATEFUL_SETS, body())
    assert changed(STATEFUL_SETS, old, {"spec": {"replicas": 3, "minReadySeconds": 5}})[1] == []
    assert changed(STATEFUL_SETS, old, {"spec": {"serviceName": "other"}})[1] == [
        "spec: Forbidden: updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', "
        "'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden"]


@pytest.mark.parametrize(("spec", "expected"), [
    ({"podManagementPolicy": "Wild"},
     "spec.podManagementPolicy: Invalid value: \"Wild\": must be 'OrderedReady' or 'Parallel'"),
    ({"updateStrategy": {"type": "OnDelete", "rollingUpdate": {"partition": 1}}},
     "spec.updateStrategy.rollingUpdate: Invalid value: {\"Partition\":1,\"MaxUnavailable\":null}: only allowed for updateStrategy 'RollingUpdate'"),
    ({"serviceName": "not.a.label"},
     'spec.serviceName: Invalid value: "not.a.label": must not contain dots'),
    ({"volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": {"resources": {"requests": {"storage": "1Gi"}}}}]},
     "spec.volumeClaimTemplates[0].spec.accessModes: Required value: at least 1 access mode is required"),
    ({"template": {"metadata": {"labels": {"app": "db"}}, "spec": {
        "containers": [{"name": "c", "image": "i:1"}], "activeDeadlineSeconds": 5}}},
     "spec.template.spec.activeDeadlineSeconds: Forbidden: activeDeadlineSeconds in StatefulSet is not Supported"),
    ({"updateStrategy": {"type": "Odd"}},
     "spec.updateStrategy: Invalid value: {\"Type\":\"Odd\",\"RollingUpdate\":null}: must be 'RollingUpdate' or 'OnDelete'"),
    ({"ordinals": {"start": -1}}, "spec.ordinals.start: Invalid value: -1: must be greater than or equal to 0"),
])
def test_what_is_wrong_is_said_in_upstreams_words(spec: dict[str, Any], expected: str) -> None:
    assert findings(STATEFUL_SETS, body(**spec)) == [expected]


def test_labels_of_the_template_are_said_twice_and_its_host_name_not_at_all() -> None:
    template = {"metadata": {"labels": {"app": "db", "b": "-"}}, "spec": {
        "containers": [{"name": "c", "image": "i:1"}], "hostname": "NO", "subdomain": "NO", "restartPolicy": "Never"}}
    found = findings(STATEFUL_SETS, body(template=template))
    assert [one.partition(" ")[0] for one in found] == ["spec.template.labels:"] * 2 + ["spec.template.spec.restartPolicy:"]


def test_a_selector_that_can_not_be_read_leaves_the_template_alone() -> None:
    found = findings(STATEFUL_SETS, body(selector={"matchExpressions": [{"key": "a", "operator": "Near"}]}))
    assert found == [
        'spec.selector.matchExpressions[0].operator: Invalid value: "Near": not a valid selector operator',
        'spec.selector: Invalid value: {"matchExpressions":[{"key":"a","operator":"Near"}]}']


def test_where_ordinals_start_and_updates_stop() -> None:
    obj = created(STATEFUL_SETS, body(ordinals={"start": 5}, updateStrategy={"rollingUpdate": {"partition": 2}}))
    assert (stateful_set.first_ordinal(obj), stateful_set.partition(obj), stateful_set.is_parallel(obj)) == (5, 2, False)


def test_how_many_pods_an_update_takes_away_is_not_kept_as_its_gate_is_off() -> None:
    obj = created(STATEFUL_SETS, body(updateStrategy={"rollingUpdate": {"maxUnavailable": 2}}))
    assert obj.spec.updateStrategy.rollingUpdate.maxUnavailable is None
    new, _ = changed(STATEFUL_SETS, obj, {"spec": {"updateStrategy": {"rollingUpdate": {"maxUnavailable": 2}}}})
    assert new.spec.updateStrategy.rollingUpdate.maxUnavailable is None


def test_a_negative_history_is_warned_about_not_refused() -> None:
    obj = created(STATEFUL_SETS, body(revisionHistoryLimit=-1))
    assert stateful_set.KIND.validate_create(obj) == []
    assert stateful_set.KIND.warnings(obj, None) == [
        "spec.revisionHistoryLimit: a negative value retains all historical revisions; a value >= 0 is recommended"]
    assert len(stateful_set.KIND.warnings(obj, obj)) == 1  # whenever it is written


def test_what_was_wrong_and_cannot_change_may_stay() -> None:
    old = created(STATEFUL_SETS, body(serviceName="not.a.label"))
    old.spec.template.spec.containers = []
    assert changed(STATEFUL_SETS, old, {"spec": {"replicas": 3}})[1] == []


def test_claim_templates_are_claims_whatever_they_say() -> None:
    claim = {"kind": "x", "apiVersion": "y", "metadata": {"name": "d"}, "spec": {}}
    made = created(STATEFUL_SETS, body(volumeClaimTemplates=[claim])).spec.volumeClaimTemplates[0]
    assert (made.kind, made.apiVersion) == ("PersistentVolumeClaim", "v1")
