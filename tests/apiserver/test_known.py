"""Objects that writers hand over: equal to what their bytes say, taken once, kept for a while."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from api_asking import Asker, with_server
from sampan.api import codec
from sampan.api.resourceinfo import Resource
from sampan.api.resources import CONFIG_MAPS, DEPLOYMENTS, JOBS, LEASES, NODES, PODS, SERVICES
from sampan.apiserver import known
from sampan.apiserver.entries import Entry
from sampan.apiserver.known import Known

TIME = "2026-01-02T03:04:05Z"
CONTAINER: dict[str, Any] = {"name": "c", "image": "i", "resources": {"requests": {"cpu": "1500m", "memory": "1024Mi"}}, "ports": [{"containerPort": 80}],
             "readinessProbe": {"httpGet": {"port": 80}}}
TEMPLATE: dict[str, Any] = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [CONTAINER], "volumes": [{"name": "v", "emptyDir": {"sizeLimit": "1024Mi"}}]}}
CONDITION = {"type": "Ready", "status": "True", "lastTransitionTime": TIME}
CASES: list[tuple[Resource[Any], str, dict[str, Any], dict[str, Any]]] = [
    (PODS, "/api/v1/namespaces/default/pods", {"spec": TEMPLATE["spec"]}, {"conditions": [CONDITION]}),
    (DEPLOYMENTS, "/apis/apps/v1/namespaces/default/deployments", {"spec": {"selector": {"matchLabels": {"a": "b"}}, "template": TEMPLATE}},
     {"replicas": 1, "conditions": [{"type": "Available", "status": "True"}]}),
    (JOBS, "/apis/batch/v1/namespaces/default/jobs", {"spec": {"template": {"spec": TEMPLATE["spec"] | {"restartPolicy": "Never"}}}}, {"active": 1, "startTime": TIME}),
    (SERVICES, "/api/v1/namespaces/default/services", {"spec": {"ports": [{"port": 80}], "selector": {"a": "b"}}}, {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}),
    (NODES, "/api/v1/nodes", {"spec": {"taints": [{"key": "k", "effect": "NoSchedule"}]}}, {"capacity": {"cpu": "1000m"}, "conditions": [CONDITION]}),
    (LEASES, "/apis/coordination.k8s.io/v1/namespaces/default/leases", {"spec": {"holderIdentity": "h", "renewTime": "2026-01-02T03:04:05.000006Z"}}, {}),
    (CONFIG_MAPS, "/api/v1/namespaces/default/configmaps", {"data": {"a": "b"}}, {}),
]


def differs(one: Any, other: Any, path: str = "") -> list[str]:
    """Where two objects are not the same down to their types."""
    if type(one) is not type(other):
        return [f"{path}: {one!r} is not {other!r}"]
    if isinstance(one, msgspec.Struct):
        return [found for name in one.__struct_fields__ for found in differs(getattr(one, name), getattr(other, name), f"{path}.{name}")]
    if isinstance(one, list | dict) and len(one) == len(other):
        keys = one if isinstance(one, dict) else range(len(one))
        return [found for key in keys for found in differs(one[key], other[key], f"{path}[{key}]")]
    return [] if one == other else [f"{path}: {one!r} is not {other!r}"]


@pytest.mark.parametrize(("resource", "path", "body", "status"), CASES, ids=[case[0].plural for case in CASES])
def test_what_is_handed_over_is_what_would_be_decoded(resource: Resource[Any], path: str, body: dict[str, Any], status: dict[str, Any]) -> None:
    async def check(it: Asker) -> None:
        def entry() -> Entry:
            found: Entry | None = it.server.server.caches.of(resource).get("default" if resource.namespaced else "", "one")
            assert found is not None
            assert found._object is not None, "nothing was handed over"
            assert differs(found._object, codec.decode(resource.wire, found.body)) == []
            return found

        # when it is made, labelled, told of and about to go
        await it.must("POST", path, body | {"metadata": {"name": "one", "finalizers": ["a/b"], "annotations": {"x": "y"}}})
        made = entry()
        await it.merge(f"{path}/one", {"metadata": {"labels": {"n": "1"}}})
        entry()
        if status:
            await it.merge(f"{path}/one/status", {"status": status})
            entry()
        await it.must("DELETE", f"{path}/one")
        # then each was handed over, and the older let go of
        entry()
        assert made._object is None

    with_server(check)


def test_only_the_very_bytes_are_known_and_only_once() -> None:
    told, value, obj = Known(), b'{"a":1}', object()
    told.tell(value, obj)
    assert told.take(bytes(bytearray(value))) is None
    assert told.take(value) is obj
    assert told.take(value) is None


def test_what_is_told_and_what_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known, "TOLD_MOST", 2)
    monkeypatch.setattr(known, "KEPT_BYTES", 1000)
    told, values = Known(), [b"%d" % number for number in range(3)]
    for value in values:
        told.tell(value, value)
    assert [told.take(value) for value in values] == [None, *values[1:]]
    # entries let go of their objects, oldest first
    pods = [Entry(PODS, "", "", "", b"x" * 400, number) for number in range(3)]
    for pod in pods:
        told.keep(pod, PODS.wire())
    assert [pod._object is None for pod in pods] == [True, False, False]
    assert pods[2].object.metadata.resourceVersion == "2"
