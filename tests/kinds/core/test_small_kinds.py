"""The kinds of the core group that have few rules: one table of findings, then what is special about each."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from kinds.core.making import changed, created, findings
from sampan.api import resources
from sampan.api.core.v1 import ObjectReference
from sampan.api.resourceinfo import Resource
from sampan.api.scalars import Time
from sampan.kinds.all import kind_of
from sampan.kinds.core import persistent_volume, persistent_volume_claim

NOW = datetime(2026, 1, 1, tzinfo=UTC)
CLAIM = {"spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}
VOLUME = {"spec": {"accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"}, "hostPath": {"path": "/x"}}}
TEMPLATE = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "x"}]}}

FINDINGS: list[tuple[Resource[Any], dict[str, Any], list[str]]] = [
    (resources.CONFIG_MAPS, {"data": {"dup": "1"}, "binaryData": {"dup": "AA=="}},
     ['data[dup]: Invalid value: "dup": duplicate of key present in binaryData']),
    (resources.CONFIG_MAPS, {"data": {"k": "x" * (1 << 20)}}, []),
    (resources.CONFIG_MAPS, {"data": {"k": "x" * ((1 << 20) + 1)}}, ["[]: Too long: may not be more than 1048576 bytes"]),
    (resources.SECRETS, {"type": "kubernetes.io/tls", "data": {"tls.crt": "eA=="}}, ["data[tls.key]: Required value"]),
    (resources.SECRETS, {"type": "kubernetes.io/dockerconfigjson", "stringData": {".dockerconfigjson": "{bad"}},
     ['data[.dockerconfigjson]: Invalid value: "<secret contents redacted>": '
      "invalid character 'b' looking for beginning of object key string"]),
    (resources.SECRETS, {"type": "kubernetes.io/dockercfg", "stringData": {".dockercfg": "[]"}},
     ['data[.dockercfg]: Invalid value: "<secret contents redacted>": '
      "json: cannot unmarshal array into Go value of type map[string]interface {}"]),
    (resources.NAMESPACES, {"spec": {"finalizers": ["odd"]}},
     ['spec.finalizers: Invalid value: "odd": name is neither a standard finalizer name nor is it fully qualified']),
    (resources.ENDPOINTS, {"subsets": [{"addresses": [{"ip": "fe80::1"}], "ports": [{"port": 1}]}]},
     ['subsets[0].addresses[0].ip: Invalid value: "fe80::1": may not be in the link-local range (169.254.0.0/16, fe80::/10)']),
    (resources.LIMIT_RANGES, {"spec": {"limits": [{"type": "PersistentVolumeClaim"}]}},
     ["spec.limits[0].limits: Required value: either minimum or maximum storage value is required, but neither was provided"]),
    (resources.LIMIT_RANGES, {"spec": {"limits": [{"type": "Pod", "min": {"cpu": "1"}, "max": {"cpu": "2"}, "maxLimitRequestRatio": {"cpu": "3"}}]}},
     ['spec.limits[0].maxLimitRequestRatio[cpu]: Invalid value: "3": ratio 3 is greater than max/min = 2.000000']),
    (resources.RESOURCE_QUOTAS, {"spec": {"hard": {"services": "1"}, "scopes": ["BestEffort"]}},
     ['spec.scopes: Invalid value: ["BestEffort"]: unsupported scope applied to resource']),
    (resources.RESOURCE_QUOTAS, {"spec": {"hard": {"count/widgets.example.com": "1", "requests.example.com/gpu": "2"}}}, []),
    (resources.REPLICATION_CONTROLLERS, {"spec": {"selector": {"a": "x"}, "template": TEMPLATE}},
     ['spec.template.metadata.labels: Invalid value: {"a":"b"}: `selector` does not match template `labels`']),
    (resources.POD_TEMPLATES, {}, ["template.spec.containers: Required value"]),
    (resources.BINDINGS, {"target": {"kind": "Pod"}},
     ['target.kind: Unsupported value: "Pod": supported values: "Node", "<empty>"', "target.name: Required value"]),
    (resources.EVENTS, {"involvedObject": {"namespace": "elsewhere"}},
     ['involvedObject.namespace: Invalid value: "elsewhere": does not match event.namespace']),
    (resources.PERSISTENT_VOLUMES, {"spec": VOLUME["spec"] | {"hostPath": None, "local": {"path": "/x"}}},
     ["spec.nodeAffinity: Required value: Local volume requires node affinity"]),
    (resources.PERSISTENT_VOLUMES, {"spec": VOLUME["spec"] | {"hostPath": {"path": "/"}, "persistentVolumeReclaimPolicy": "Recycle"}},
     ["spec.persistentVolumeReclaimPolicy: Forbidden: may not be 'recycle' for a hostPath mount of '/'"]),
    (resources.PERSISTENT_VOLUME_CLAIMS, {"spec": CLAIM["spec"] | {"dataSource": {"kind": "X", "name": "y"}}}, []),
    (resources.PERSISTENT_VOLUME_CLAIMS, {"spec": CLAIM["spec"] | {"dataSourceRef": {"kind": "X", "name": "y"}}},
     [f"spec.{name}: Invalid value: \"X\": must be 'PersistentVolumeClaim' when referencing the default apiGroup"
      for name in ("dataSource", "dataSourceRef")]),
    (resources.RESOURCE_QUOTAS, {"spec": {"hard": {"requests.ephemeral-storage": "1"}, "scopes": ["NotTerminating"]}},
     ['spec.scopes: Invalid value: ["NotTerminating"]: unsupported scope applied to resource']),
    (resources.RESOURCE_QUOTAS, {"spec": {"hard": {"pods": "1"}, "scopeSelector": {"matchExpressions": [
        {"scopeName": "BestEffort", "operator": "Exists"}, {"scopeName": "NotBestEffort", "operator": "Exists"}]}}},
     ["spec.scopeSelector.matchExpressions: Invalid value: null: conflicting scopes"]),
    (resources.NODES, {"spec": {"podCIDRs": ["10.0.0.0/24", "10.0.0.0/24"]}},
     ['spec.podCIDRs: Invalid value: ["10.0.0.0/24","10.0.0.0/24"]: may specify no more than one CIDR for each IP family']),
    (resources.NODES, {"status": {"nodeInfo": {"swap": {"capacity": 0}}, "declaredFeatures": ["B", "A", "A", "A/-"]}},
     ["metadata.nodeSwapStatus.capacity: Invalid value: 0: must be greater than zero",
      'status.declaredFeatures[1]: Invalid value: "A": list must be sorted alphabetically',
      'status.declaredFeatures[2]: Duplicate value: "A"',
      'status.declaredFeatures[3]: Invalid value: "A/-": invalid feature name "A/-": must start with an UpperCamelCase segment, with '
      "subsequent segments separated by '/' (e.g., MyFeature or MyFeature/mySubFeature), and contain only alphanumeric characters and "
      "slashes"]),
    (resources.EVENTS, {"eventTime": "2026-01-01T00:00:00.000000Z", "involvedObject": {"namespace": "elsewhere"}, "reason": "r",
                        "reportingComponent": "c", "reportingInstance": "i" * 129, "action": "a"},
     ['reportingInstance: Invalid value: "": can have at most 128 characters']),
]


@pytest.mark.parametrize(("resource", "body", "wanted"), FINDINGS)
def test_a_mistake_is_found_in_upstreams_words(resource: Resource[Any], body: dict[str, Any], wanted: list[str]) -> None:
    namespace = "n" if resource.namespaced else ""
    assert findings(resource, {"metadata": {"name": "x", "namespace": namespace}} | body) == wanted


def test_what_was_made_immutable_stays() -> None:
    old = created(resources.CONFIG_MAPS, {"data": {"k": "v"}, "immutable": True})
    assert changed(resources.CONFIG_MAPS, old, {"data": {"k": "w"}})[1] == ["data: Forbidden: field is immutable when `immutable` is set"]
    assert changed(resources.CONFIG_MAPS, old, {"metadata": {"labels": {"a": "b"}}})[1] == []


def test_text_for_a_secret_becomes_data_and_its_type_stays() -> None:
    old = created(resources.SECRETS, {"stringData": {"k": "v"}})
    assert (old.data, old.stringData, old.type) == ({"k": b"v"}, {}, "Opaque")
    assert changed(resources.SECRETS, old, {"type": "x/y"})[1] == ['type: Invalid value: "x/y": field is immutable']


def test_a_namespace_is_active_labelled_and_kept_by_its_finalizer() -> None:
    made = created(resources.NAMESPACES, {"metadata": {"name": "x"}})
    assert (made.status.phase, made.spec.finalizers, made.metadata.labels) == ("Active", ["kubernetes"], {"kubernetes.io/metadata.name": "x"})
    kept, _ = changed(resources.NAMESPACES, made, {"spec": {"finalizers": []}})
    done, errors = changed(resources.NAMESPACES, made, {"spec": {"finalizers": []}}, "finalize")
    assert (kept.spec.finalizers, done.spec.finalizers, errors) == (["kubernetes"], [], [])
    assert changed(resources.NAMESPACES, made, {"status": {"phase": "Terminating"}}, "status")[1] == [
        "status.Phase: Invalid value: \"Terminating\": may only be 'Active' if `deletionTimestamp` is empty"]


def test_a_container_gets_the_most_and_asks_for_it() -> None:
    made = created(resources.LIMIT_RANGES, {"spec": {"limits": [{"type": "Container", "max": {"cpu": "2"}, "min": {"memory": "1"}}]}})
    (item,) = made.spec.limits
    assert (item.default, item.defaultRequest) == ({"cpu": "2"}, {"memory": "1", "cpu": "2"})


def test_a_quota_prints_requests_and_limits_apart() -> None:
    made = created(resources.RESOURCE_QUOTAS, {"spec": {"hard": {"pods": "3"}}})
    cells = [column.value for column in kind_of(resources.RESOURCE_QUOTAS).columns[1:3]]
    assert [cell(made, NOW) for cell in cells] == ["", ""]
    made, _ = changed(resources.RESOURCE_QUOTAS, made, {"status": {
        "hard": {"pods": "3", "requests.cpu": "1", "limits.cpu": "2"}, "used": {"pods": "1", "limits.cpu": "500m"}}}, "status")
    assert [cell(made, NOW) for cell in cells] == ["pods: 1/3, requests.cpu: 0/1", "limits.cpu: 500m/2"]


def test_a_replication_controller_takes_after_its_template() -> None:
    made = created(resources.REPLICATION_CONTROLLERS, {"metadata": {"name": "x"}, "spec": {"template": TEMPLATE}})
    assert (made.spec.replicas, made.spec.selector, made.metadata.labels, made.metadata.generation) == (1, {"a": "b"}, {"a": "b"}, 1)
    kind = kind_of(resources.REPLICATION_CONTROLLERS)
    assert kind.scale is not None
    kind.scale.set_replicas(made, 4)
    assert (kind.scale.replicas(made), kind.scale.selector(made)) == (4, "a=b")


def test_an_event_is_seen_when_its_series_was() -> None:
    made = created(resources.EVENTS, {"metadata": {"name": "e"}, "involvedObject": {"kind": "Pod", "name": "p"},
                                      "eventTime": "2025-12-31T23:00:00.000000Z", "reportingComponent": "kubelet",
                                      "series": {"count": 5, "lastObservedTime": "2025-12-31T23:59:30.000000Z"}})
    cells = {column.name: column.value(made, NOW) for column in kind_of(resources.EVENTS).columns}
    assert (cells["Last Seen"], cells["First Seen"], cells["Count"], cells["Object"], cells["Source"]) == ("30s", "60m", 5, "pod/p", "kubelet")


def test_endpoints_are_cut_after_three() -> None:
    made = created(resources.ENDPOINTS, {"subsets": [{"addresses": [{"ip": f"10.0.0.{n}"} for n in range(5)], "ports": [{"port": 80}]}]})
    shown = kind_of(resources.ENDPOINTS).columns[1].value
    assert shown(made, NOW) == "10.0.0.0:80,10.0.0.1:80,10.0.0.2:80 + 2 more..."
    assert shown(created(resources.ENDPOINTS, {}), NOW) == "<none>"
    assert shown(created(resources.ENDPOINTS, {"subsets": [{"notReadyAddresses": [{"ip": "10.0.0.1"}]}]}), NOW) == ""


def test_a_volume_stays_what_it_is() -> None:
    old = created(resources.PERSISTENT_VOLUMES, {"metadata": {"name": "v", "creationTimestamp": "2026-01-01T00:00:00Z"}} | VOLUME)
    assert (old.status.phase, old.status.lastPhaseTransitionTime) == ("Pending", Time("2026-01-01T00:00:00Z"))
    _, errors = changed(resources.PERSISTENT_VOLUMES, old, {"spec": {"hostPath": {"path": "/y"}, "volumeMode": "Block"}})
    assert errors[0].startswith("spec.persistentvolumesource: Forbidden: spec.persistentvolumesource is immutable after creation\n@@ ")
    assert errors[1:] == ['volumeMode: Invalid value: "Block": field is immutable']
    assert persistent_volume.short_modes(["ReadOnlyMany", "ReadWriteOnce"]) == "RWO,ROX"


def test_a_bound_claim_may_grow_and_an_unbound_one_not() -> None:
    old = created(resources.PERSISTENT_VOLUME_CLAIMS, {"metadata": {"name": "c"}} | CLAIM)
    grown = {"spec": {"resources": {"requests": {"storage": "2Gi"}}}}
    assert len(changed(resources.PERSISTENT_VOLUME_CLAIMS, old, grown)[1]) == 1
    old.status.phase, old.status.capacity = "Bound", {"storage": "1Gi"}
    assert changed(resources.PERSISTENT_VOLUME_CLAIMS, old, grown)[1] == []
    shrunk = {"spec": {"resources": {"requests": {"storage": "1Mi"}}}}
    assert changed(resources.PERSISTENT_VOLUME_CLAIMS, old, shrunk)[1] == [
        "spec.resources.requests.storage: Forbidden: field can not be less than status.capacity"]
    assert changed(resources.PERSISTENT_VOLUME_CLAIMS, old, {"spec": {"volumeName": "v"}})[1] == []
    assert persistent_volume_claim.is_bound(old)


def test_both_ways_to_name_a_data_source_say_the_same() -> None:
    made = created(resources.PERSISTENT_VOLUME_CLAIMS, {"spec": CLAIM["spec"] | {"dataSource": {"kind": "PersistentVolumeClaim", "name": "x"}}})
    assert (made.spec.dataSourceRef.kind, made.spec.dataSourceRef.name) == ("PersistentVolumeClaim", "x")


def test_deprecated_resources_say_so() -> None:
    assert kind_of(resources.ENDPOINTS).deprecation.startswith("v1 Endpoints is deprecated in v1.33+")


def test_a_service_account_keeps_the_names_of_its_secrets() -> None:
    made = created(resources.SERVICE_ACCOUNTS, {"metadata": {"name": "a"}, "secrets": [{"name": "s", "namespace": "n", "kind": "Secret"}]})
    assert made.secrets == [ObjectReference(name="s")]
    new, _ = changed(resources.SERVICE_ACCOUNTS, made, {"secrets": [{"name": "t", "uid": "u"}]})
    assert new.secrets == [ObjectReference(name="t")]


@pytest.mark.parametrize(("resource", "body", "said"), [
    (resources.RESOURCE_QUOTAS, {"spec": {"hard": {"cpu": "2", "limits.cpu": "1", "requests.memory": "1", "limits.memory": "2"}}},
     ["ResourceQuota cpu (2) should be less than limits.cpu (1)"]),
    (resources.NODES, {"spec": {"externalID": "x", "podCIDRs": ["10.0.0.1/24"]}},
     ["spec.externalID: this field is deprecated, and is unused by Kubernetes",
      'spec.podCIDRs[0]: CIDR value "10.0.0.1/24" is ambiguous in this context (should be "10.0.0.0/24" or "10.0.0.1/32"?)']),
    (resources.ENDPOINTS, {"metadata": {"labels": {"endpoints.kubernetes.io/managed-by": "endpoint-controller"}},
                           "subsets": [{"addresses": [{"ip": "::ffff:1.2.3.4"}]}]}, []),
])
def test_what_is_doubtful_is_warned_about(resource: Resource[Any], body: dict[str, Any], said: list[str]) -> None:
    assert kind_of(resource).warnings(created(resource, body), None) == said


def test_a_claim_loses_its_class_only_before_it_was_applied() -> None:
    old = created(resources.PERSISTENT_VOLUME_CLAIMS, {"spec": CLAIM["spec"] | {"volumeAttributesClassName": "gold"}})
    old.status.phase = "Bound"
    none = {"spec": {"volumeAttributesClassName": None}}
    assert changed(resources.PERSISTENT_VOLUME_CLAIMS, old, none)[1] == []
    old.status.currentVolumeAttributesClassName = "gold"
    assert changed(resources.PERSISTENT_VOLUME_CLAIMS, old, none)[1] == [
        "spec.volumeAttributesClassName: Forbidden: update to nil is forbidden when status.currentVolumeAttributesClassName is not nil"]


def test_a_source_in_another_namespace_is_dropped_as_its_gate_is_off() -> None:
    made = created(resources.PERSISTENT_VOLUME_CLAIMS, {"spec": CLAIM["spec"] | {
        "dataSourceRef": {"kind": "PersistentVolumeClaim", "name": "x", "namespace": "other"}}})
    assert (made.spec.dataSource, made.spec.dataSourceRef) == (None, None)
    made = created(resources.PERSISTENT_VOLUME_CLAIMS, {"spec": CLAIM["spec"] | {
        "dataSourceRef": {"apiGroup": "x.y", "kind": "Populator", "name": "x"}}})
    assert (made.spec.dataSource.apiGroup, made.spec.dataSource.kind) == ("x.y", "Populator")


TWICE: list[tuple[Resource[Any], dict[str, Any], dict[str, Any], str]] = [
    (resources.PERSISTENT_VOLUMES, VOLUME, {"spec": {"persistentVolumeReclaimPolicy": "Burn"}},
     'spec.persistentVolumeReclaimPolicy: Unsupported value: "Burn": supported values: "Delete", "Recycle", "Retain"'),
    (resources.NODES, {}, {"spec": {"taints": [{"key": "a", "effect": "Maybe"}]}},
     'metadata.taints[0].effect: Unsupported value: "Maybe": supported values: "NoSchedule", "PreferNoSchedule", "NoExecute"'),
]


@pytest.mark.parametrize(("resource", "body", "change", "finding"), TWICE)
def test_what_upstream_looks_at_twice_is_told_twice(resource: Resource[Any], body: dict[str, Any], change: dict[str, Any],
                                                    finding: str) -> None:
    old = created(resource, {"metadata": {"name": "n"}} | body)
    assert changed(resource, old, change)[1] == [finding, finding]


@pytest.mark.parametrize(("resource", "change"), [
    (resources.CONFIG_MAPS, {"data": {"a b": ""}}), (resources.SECRETS, {"data": {"a b": ""}})])
def test_what_may_not_change_is_told_of_before_what_is_wrong(resource: Resource[Any], change: dict[str, Any]) -> None:
    old = created(resource, {"metadata": {"name": "n"}, "immutable": True})
    first, second = changed(resource, old, change)[1]
    assert first == "data: Forbidden: field is immutable when `immutable` is set"
    assert second.startswith('data[a b]: Invalid value: "a b": a valid config key must consist of')


def test_an_address_that_was_there_passes_as_it_is() -> None:
    def with_ip(ip: str) -> dict[str, Any]:
        return {"subsets": [{"addresses": [{"ip": ip}], "ports": [{"port": 1}]}]}

    old = created(resources.ENDPOINTS, {"metadata": {"name": "n"}} | with_ip("010.0.0.1"))
    assert changed(resources.ENDPOINTS, old, {"metadata": {"labels": {"a": "b"}}})[1] == []
