"""Managed fields of Structs and custom resources, and what apply says and does."""

from __future__ import annotations

import json
from typing import Any

import pytest

from api_asking import Asker, with_server
from sampan.api import codec
from sampan.api.errors import ApiError, BadRequest, Conflict
from sampan.api.resources import CONFIG_MAPS, DEPLOYMENTS, PODS
from sampan.api.scalars import Time
from sampan.apiserver.catalog import Served
from sampan.apiserver.fieldmanager import FieldManager, _endpoint_filter
from sampan.apiserver.options import WriteOptions
from sampan.kinds.apps import deployment
from sampan.kinds.kind import Kind

MAPS: Served = Served(CONFIG_MAPS, Kind(resource=CONFIG_MAPS), CONFIG_MAPS)
DEPLOYED: Served = Served(DEPLOYMENTS, deployment.KIND, DEPLOYMENTS)
PODS_: Served = Served(PODS, Kind(resource=PODS), PODS)
NOW = Time("2026-01-01T00:00:00Z")
LATER = Time("2026-01-01T00:00:05Z")
fields = FieldManager()


def obj(served: Served, tree: Any) -> Any:
    made = codec.convert(served.resource.wire, tree)
    made.kind, made.apiVersion = served.resource.kind, served.resource.group_version
    served.kind.default(made)
    return made


def entries(made: Any) -> dict[str, Any]:
    return {f"{entry['manager']}/{entry['operation']}": entry["fieldsV1"] for entry in codec.to_builtins(made.metadata.managedFields)}


def apply(served: Served, old: Any, tree: Any, manager: str = "one", *, force: bool = False, subresource: str = "", now: Time = NOW) -> Any:
    applied = fields.parse(served, json.dumps(tree).encode(), WriteOptions(), [])
    return fields.apply(served, old, applied, manager=manager, force=force, subresource=subresource, now=now)


def config(data: Any, **meta: Any) -> Any:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", **meta}, "data": data}


WEB = {"metadata": {"name": "web"}, "spec": {"selector": {"matchLabels": {"app": "web"}}, "template": {
    "metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}}}


def test_a_created_object_s_fields_are_its_creator_s_with_defaults_and_without_status() -> None:
    made = obj(DEPLOYED, WEB | {"status": {"replicas": 3}})
    fields.record(DEPLOYED, made, None, manager="creator", subresource="", now=NOW)
    spec = entries(made)["creator/Update"]
    assert spec.keys() == {"f:spec"}
    assert spec["f:spec"]["f:template"] == {
        "f:metadata": {"f:labels": {".": {}, "f:app": {}}},
        "f:spec": {"f:containers": {'k:{"name":"c"}': {".": {}, "f:image": {}, "f:imagePullPolicy": {}, "f:name": {}, "f:resources": {},
                                                        "f:terminationMessagePath": {}, "f:terminationMessagePolicy": {}}},
                   "f:dnsPolicy": {}, "f:restartPolicy": {}, "f:schedulerName": {}, "f:securityContext": {},
                   "f:terminationGracePeriodSeconds": {}}}


def test_an_update_takes_what_it_changes_and_keeps_times_where_nothing_did() -> None:
    made = obj(MAPS, config({"a": "1", "b": "1"}))
    fields.record(MAPS, made, None, manager="one", subresource="", now=NOW)
    changed = obj(MAPS, config({"a": "2", "b": "1"}))  # sent without managed fields: they are kept
    fields.record(MAPS, changed, made, manager="two", subresource="", now=LATER)
    assert entries(changed) == {"one/Update": {"f:data": {".": {}, "f:b": {}}}, "two/Update": {"f:data": {"f:a": {}}}}
    same = codec.clone(changed)
    fields.record(MAPS, same, changed, manager="three", subresource="", now=LATER)
    assert same == changed


def test_a_status_write_owns_status_alone() -> None:
    made = obj(DEPLOYED, WEB)
    fields.record(DEPLOYED, made, None, manager="one", subresource="", now=NOW)
    written = codec.clone(made)
    written.status.replicas, written.spec.paused = 2, True
    fields.record(DEPLOYED, written, made, manager="ctl", subresource="status", now=LATER)
    last = codec.to_builtins(written.metadata.managedFields)[-1]
    assert (last["manager"], last["subresource"], last["fieldsV1"]) == ("ctl", "status", {"f:status": {"f:replicas": {}}})


def test_an_empty_entry_forgets_all_owners_and_then_nobody_is_tracked_until_something_is_applied() -> None:
    made = obj(MAPS, config({"a": "1"}))
    fields.record(MAPS, made, None, manager="one", subresource="", now=NOW)
    forgotten = obj(MAPS, config({"a": "1"}, managedFields=[{}]))
    fields.record(MAPS, forgotten, made, manager="one", subresource="", now=NOW)
    assert forgotten.metadata.managedFields == []
    changed = obj(MAPS, config({"a": "2"}))
    fields.record(MAPS, changed, forgotten, manager="one", subresource="", now=NOW)
    assert changed.metadata.managedFields == []
    applied = apply(MAPS, changed, config({"b": "1"}))
    assert entries(applied) == {"before-first-apply/Update": {"f:data": {".": {}, "f:a": {}}}, "one/Apply": {"f:data": {"f:b": {}}}}


def test_applying_makes_merges_and_reports_conflicts() -> None:
    made = apply(MAPS, None, config({"k": "v"}))
    assert (made.data, entries(made)) == ({"k": "v"}, {"one/Apply": {"f:data": {"f:k": {}}}})
    with pytest.raises(Conflict, match=r'Apply failed with 1 conflict: conflict with "one": \.data\.k'):
        apply(MAPS, made, config({"k": "w"}), "two")
    shared = apply(MAPS, made, config({"k": "v"}), "two", now=LATER)
    # nothing changed, so the second applier has no time
    assert [(entry.manager, entry.time) for entry in shared.metadata.managedFields] == [("two", None), ("one", NOW)]


def test_a_time_or_uid_or_generation_never_makes_an_owner() -> None:
    made = obj(PODS_, {"metadata": {"name": "p", "generateName": "p-", "uid": "1", "labels": {"a": "b"}}, "spec": {"containers": [{"name": "c"}]}})
    fields.record(PODS_, made, None, manager="m", subresource="", now=NOW)
    assert entries(made)["m/Update"]["f:metadata"] == {"f:generateName": {}, "f:labels": {".": {}, "f:a": {}}}


@pytest.mark.parametrize(("tree", "code", "words"), [
    ({"apiVersion": "v1", "kind": "Pod", "metadata": {}}, 400, "invalid object type: /v1, Kind=Pod"),
    (config({"k": 5}), 500,
     "failed to create typed patch object (/a; /v1, Kind=ConfigMap): .data.k: expected string, got &value.valueUnstructured{Value:5}"),
    (config({}, managedFields=[]), 400, "metadata.managedFields must be nil"),
])
def test_a_configuration_that_can_t_be_applied_is_refused(tree: Any, code: int, words: str) -> None:
    with pytest.raises(ApiError) as caught:
        apply(MAPS, None, tree)
    assert (caught.value.code, caught.value.message) == (code, words)


def test_yaml_is_read_as_upstream_reads_it() -> None:
    problems: list[str] = []
    assert fields.parse(MAPS, b"a: y\na: z\n", WriteOptions(), problems) == {"a": "z"}
    assert problems == ['yaml: unmarshal errors:\n  line 2: key "a" already set in map']
    with pytest.raises(BadRequest, match="error decoding YAML: error unmarshaling JSON: while decoding JSON"):
        fields.parse(MAPS, b"[1]", WriteOptions(), problems)


def test_kubectl_takes_over_what_it_applied_on_the_client_s_side() -> None:
    noted = {"kubectl.kubernetes.io/last-applied-configuration": json.dumps(config({"k": "v"})) + "\n"}
    made = obj(MAPS, config({"k": "v"}, annotations=noted))
    fields.record(MAPS, made, None, manager="kubectl-client-side-apply", subresource="", now=NOW)
    applied = apply(MAPS, made, config({"k": "w"}), "kubectl")
    assert applied.data == {"k": "w"}
    assert json.loads(next(iter(applied.metadata.annotations.values())))["data"] == {"k": "w"}


CREATOR = {"manager": "creator", "operation": "Update"}


@pytest.mark.parametrize(("path", "body", "expected"), [
    ("/api/v1/namespaces/default/limitranges", {"metadata": {"name": "a"}, "spec": {"limits": []}}, {"f:spec": {"f:limits": {}}}),
    ("/api/v1/namespaces", {"metadata": {"generateName": "a-"}}, {"f:metadata": {"f:generateName": {}}}),
    ("/apis/autoscaling/v1/namespaces/default/horizontalpodautoscalers",
     {"metadata": {"name": "a"}, "spec": {"scaleTargetRef": {"kind": "Deployment", "name": "web"}, "maxReplicas": 3}},
     {"f:spec": {"f:maxReplicas": {}, "f:minReplicas": {}, "f:scaleTargetRef": {}, "f:targetCPUUtilizationPercentage": {}}}),
    ("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", {"spec": {"nonResourceAttributes": {"path": "/x", "verb": "get"}}},
     {"f:spec": {"f:nonResourceAttributes": {".": {}, "f:path": {}, "f:verb": {}}}}),
    ("/api/v1/namespaces/default/serviceaccounts/robot/token", {"spec": {}}, {"f:spec": {"f:expirationSeconds": {}}}),
    ("/apis/apps/v1/namespaces/default/daemonsets", {"metadata": {"name": "a"}, "spec": WEB["spec"]},
     {"f:metadata": {"f:annotations": {".": {}, "f:deprecated.daemonset.template.generation": {}}}}),
])
def test_what_a_server_notes_is_what_upstream_notes(path: str, body: Any, expected: Any) -> None:
    async def test(asker: Asker) -> None:
        await asker.must("POST", "/api/v1/namespaces/default/serviceaccounts", {"metadata": {"name": "robot"}})
        made = await asker.must("POST", path + "?fieldManager=creator", body)
        entry, = made["metadata"]["managedFields"]
        assert CREATOR.items() <= entry.items()
        assert expected.items() <= entry["fieldsV1"].items()

    with_server(test)


def test_an_endpoint_owns_what_it_can_change() -> None:
    csr = "certificatesigningrequests.certificates.k8s.io"
    status = {"f:status": {"f:conditions": {}, "f:certificate": {}}, "f:metadata": {"f:labels": {}}}
    labels = {"f:metadata": {"f:labels": {}}}
    cases: tuple[tuple[str, str, dict[str, Any], dict[str, Any]], ...] = (
        (csr, "", {"f:spec": {"f:request": {}}} | status, labels),
        (csr, "approval", status, {"f:status": {"f:conditions": {}}} | labels),
        (csr, "status", status, {"f:status": {"f:certificate": {}}} | labels),
        ("volumeattachments.storage.k8s.io", "status", status, {"f:status": status["f:status"]}),
        ("ingresses.networking.k8s.io", "status", status, status),
        ("namespaces", "finalize", {"f:status": {"f:phase": {}}}, {}),
    )
    for group_resource, subresource, tree, kept in cases:
        assert _endpoint_filter(group_resource, subresource, True, custom=False)(tree) == kept


def test_an_empty_list_forgets_all_owners_as_an_empty_entry_does() -> None:
    async def test(asker: Asker) -> None:
        path = "/api/v1/namespaces/default/configmaps"
        for name in ("a", "b"):
            made = await asker.must("POST", path, {"metadata": {"name": name}, "data": {"a": "b"}})
            assert made["metadata"]["managedFields"]
        put = await asker.must("PUT", f"{path}/a", {"metadata": {"name": "a", "managedFields": []}, "data": {"a": "c"}})
        _, patched = await asker.merge(f"{path}/b", {"metadata": {"managedFields": []}})
        assert ["managedFields" in one["metadata"] for one in (put, patched)] == [False, False]

    with_server(test)


def test_a_uid_that_is_another_conflicts_under_the_key_of_upstreams_storage() -> None:
    async def test(asker: Asker) -> None:
        path = "/apis/networking.k8s.io/v1/namespaces/default/networkpolicies"
        body = {"metadata": {"name": "p"}, "spec": {"podSelector": {}}}
        await asker.must("POST", path, body)
        for query, key in (("", "/registry/networkpolicies/default/p"), ("?dryRun=All", "/networkpolicies/default/p")):
            code, told = await asker.ask("PUT", f"{path}/p{query}", body | {"metadata": {"name": "p", "uid": "x"}})
            assert (code, f"Key: {key}, " in told["message"]) == (409, True)

    with_server(test)
