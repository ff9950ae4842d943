"""The scale subresource, and who owns the replicas."""

from __future__ import annotations

from typing import Any

from api_asking import Asker, with_server
from sampan.apiserver.handlers.scalefields import to_parent, to_scale

SETS = "/apis/apps/v1/namespaces/default/replicasets"


def replica_set(replicas: int) -> dict[str, Any]:
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "x"}]}}
    return {"metadata": {"name": "r"}, "spec": {"replicas": replicas, "selector": {"matchLabels": {"a": "b"}}, "template": template}}


def test_scaling_changes_replicas_and_nothing_else() -> None:
    async def test(asker: Asker) -> None:
        made = await asker.must("POST", SETS, replica_set(2))
        view = await asker.must("GET", f"{SETS}/r/scale")
        assert (view["kind"], view["spec"], view["status"]) == ("Scale", {"replicas": 2}, {"replicas": 0, "selector": "a=b"})
        _, scaled = await asker.merge(f"{SETS}/r/scale", {"spec": {"replicas": 5}})
        assert scaled["spec"] == {"replicas": 5}
        now = await asker.must("GET", f"{SETS}/r")
        assert (now["spec"]["replicas"], now["metadata"]["generation"]) == (5, made["metadata"]["generation"] + 1)

    with_server(test)


def test_negative_replicas_are_refused() -> None:
    async def test(asker: Asker) -> None:
        await asker.must("POST", SETS, replica_set(1))
        code, value = await asker.merge(f"{SETS}/r/scale", {"spec": {"replicas": -1}})
        assert (code, value["details"]["causes"][0]["field"]) == (422, "spec.replicas")

    with_server(test)


def test_whoever_scales_takes_the_replicas_from_whoever_set_them() -> None:
    async def test(asker: Asker) -> None:
        await asker.must("POST", f"{SETS}?fieldManager=maker", replica_set(1))
        await asker.merge(f"{SETS}/r/scale?fieldManager=scaler", {"spec": {"replicas": 3}})
        entries = (await asker.must("GET", f"{SETS}/r"))["metadata"]["managedFields"]
        owners = {one["manager"] for one in entries if "f:replicas" in one["fieldsV1"].get("f:spec", {})}
        assert owners == {"scaler"}

    with_server(test)


def test_owners_that_nobody_takes_anything_from_stay() -> None:
    assert to_parent([], to_scale([]), "apps/v1") == []


def test_kinds_without_replicas_have_no_scale() -> None:
    async def test(asker: Asker) -> None:
        assert (await asker.ask("GET", "/api/v1/namespaces/default/secrets/x/scale"))[0] == 404

    with_server(test)
