"""The official Python client's other halves (dynamic, informer, asyncio, files) and kr8s, on a kind of the tests' own."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kr8s
import kubernetes
import pytest
import yaml
from kr8s.objects import ConfigMap, Deployment, Pod, new_class
from kubernetes import client as api
from kubernetes import dynamic, utils
from kubernetes.aio import client as aio
from kubernetes.aio import config as aio_config
from kubernetes.aio import watch as aio_watch
from kubernetes.informer import SharedInformer

from e2e.real import Cluster, Space
from sampan.testing.waiting import PATIENCE_SECONDS, until_true

pytestmark = [pytest.mark.e2e, pytest.mark.filterwarnings("ignore")]  # others' deprecations and unclosed sockets are not ours

GROUP = "kites.example.com"
DEFINITION: dict[str, Any] = {
    "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": f"kites.{GROUP}"},
    "spec": {"group": GROUP, "scope": "Namespaced", "names": {"plural": "kites", "singular": "kite", "kind": "Kite", "shortNames": ["kt"]}, "versions": [{
        "name": "v1", "served": True, "storage": True,
        "subresources": {"status": {}, "scale": {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"}},
        "schema": {"openAPIV3Schema": {"type": "object", "properties": {
            "spec": {"type": "object", "properties": {"colour": {"type": "string"}, "replicas": {"type": "integer", "default": 1}}},
            "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}}}}]}}


@pytest.fixture(autouse=True)
def swept() -> Iterator[None]:
    """What a client leaves open is found here, where it is ignored, and not in a later test."""
    yield
    gc.collect()


@pytest.fixture(scope="module")
def cluster(simulated_cluster: Cluster) -> Iterator[Cluster]:
    """A cluster with the kind Kite, made through the official client."""
    with kubernetes.config.new_client_from_config(str(simulated_cluster.kubeconfig)) as client:
        extensions = api.ApiextensionsV1Api(client)
        extensions.create_custom_resource_definition(DEFINITION)

        def established() -> bool:
            found = extensions.read_custom_resource_definition(f"kites.{GROUP}").status
            return {one.type: one.status for one in (found.conditions or ())}.get("Established") == "True"

        until_true(established, "the kind is established")
        yield simulated_cluster
        extensions.delete_custom_resource_definition(f"kites.{GROUP}")


@pytest.fixture
def space(cluster: Cluster, simulated_space: Space) -> Space:
    assert cluster is simulated_space.cluster
    return simulated_space


@pytest.fixture
def official(space: Space) -> Iterator[api.ApiClient]:
    with kubernetes.config.new_client_from_config(str(space.cluster.kubeconfig)) as found:
        yield found


def kite(name: str, colour: str = "red", **labels: str) -> dict[str, Any]:
    return {"apiVersion": f"{GROUP}/v1", "kind": "Kite", "metadata": {"name": name, "labels": labels}, "spec": {"colour": colour}}


def test_the_dynamic_client_finds_the_kind_and_works_with_it(space: Space, official: api.ApiClient, tmp_path: Path) -> None:
    client = dynamic.DynamicClient(official, cache_file=str(tmp_path / "discovery"))
    kites = client.resources.get(api_version=f"{GROUP}/v1", kind="Kite")
    assert (kites.name, kites.namespaced, kites.short_names) == ("kites", True, ["kt"])
    made = kites.create(body=kite("a", tier="x"), namespace=space.name)
    assert made.spec.replicas == 1
    assert kites.patch(body={"spec": {"colour": "blue"}}, name="a", namespace=space.name, content_type="application/merge-patch+json").spec.colour == "blue"
    applied = kites.server_side_apply(body=kite("a", "green"), name="a", namespace=space.name, field_manager="tests", force_conflicts=True)
    assert applied.spec.colour == "green"
    kites.status.patch(body={"status": {"high": True}}, name="a", namespace=space.name, content_type="application/merge-patch+json")
    assert kites.get(name="a", namespace=space.name).status.high is True
    assert [one.metadata.name for one in kites.get(namespace=space.name, label_selector="tier=x").items] == ["a"]
    seen = []
    kites.delete(name="a", namespace=space.name)
    kites.create(body=kite("b"), namespace=space.name)
    for event in kites.watch(namespace=space.name, timeout=20):
        seen.append((event["type"], event["object"].metadata.name))
        if len(seen) == 1:
            kites.delete(name="b", namespace=space.name)
        if event["type"] == "DELETED":
            break
    assert seen == [("ADDED", "b"), ("DELETED", "b")]


def test_the_custom_objects_api_and_files(space: Space, official: api.ApiClient, tmp_path: Path) -> None:
    custom = api.CustomObjectsApi(official)
    where = (GROUP, "v1", space.name, "kites")
    custom.create_namespaced_custom_object(*where, kite("a"))
    custom.patch_namespaced_custom_object_scale(*where, "a", {"spec": {"replicas": 4}})
    found = custom.get_namespaced_custom_object(*where, "a")
    assert found["spec"] == {"colour": "red", "replicas": 4}
    custom.replace_namespaced_custom_object_status(*where, "a", found | {"status": {"replicas": 3}})
    assert custom.get_namespaced_custom_object_scale(*where, "a")["status"] == {"replicas": 3}
    assert len(custom.list_cluster_custom_object(GROUP, "v1", "kites")["items"]) == 1
    custom.delete_collection_namespaced_custom_object(*where)
    assert custom.list_namespaced_custom_object(*where)["items"] == []
    # several objects of a file, made by the client's own loader
    template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "web:1"}]}}
    objects = [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "words"}, "data": {"a": "1"}},
               {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": {"selector": {"matchLabels": {"app": "web"}}, "template": template}}]
    (tmp_path / "all.yaml").write_text(yaml.safe_dump_all(objects))
    utils.create_from_yaml(official, str(tmp_path / "all.yaml"), namespace=space.name)
    apps = api.AppsV1Api(official)
    until_true(lambda: apps.read_namespaced_deployment_status("web", space.name).status.available_replicas == 1, "the deployment is available")
    apps.delete_namespaced_deployment("web", space.name, propagation_policy="Foreground")


def test_the_informer_follows_and_remembers(space: Space, official: api.ApiClient) -> None:
    core, seen = api.CoreV1Api(official), list[tuple[str, str]]()
    core.create_namespaced_config_map(space.name, {"metadata": {"name": "before", "labels": {"seen": "y"}}})
    informer = SharedInformer(list_func=core.list_namespaced_config_map, namespace=space.name, label_selector="seen=y")
    for kind in ("ADDED", "MODIFIED", "DELETED"):
        informer.add_event_handler(kind, lambda one, kind=kind: seen.append((kind, one.metadata.name)))
    informer.start()
    try:
        until_true(lambda: ("ADDED", "before") in seen, "what was there is told")
        core.create_namespaced_config_map(space.name, {"metadata": {"name": "after", "labels": {"seen": "y"}}})
        core.patch_namespaced_config_map("after", space.name, {"data": {"a": "1"}})
        until_true(lambda: ("MODIFIED", "after") in seen, "the change is told")
        core.delete_namespaced_config_map("before", space.name)
        until_true(lambda: ("DELETED", "before") in seen, "the deletion is told")
        assert [one.metadata.name for one in informer.cache.list()] == ["after"]
    finally:
        threading.Thread(target=informer.stop, daemon=True).start()


def test_the_asyncio_client_does_many_things_at_once(space: Space) -> None:
    async def story() -> None:
        settings = aio.Configuration()
        await aio_config.load_kube_config(config_file=str(space.cluster.kubeconfig), client_configuration=settings)
        async with aio.ApiClient(settings) as client:
            core = aio.CoreV1Api(client)
            since = (await core.list_namespaced_config_map(space.name)).metadata.resource_version
            names = {f"c{number}" for number in range(30)}
            await asyncio.gather(*[core.create_namespaced_config_map(space.name, {"metadata": {"name": name}}) for name in names])
            seen = set()
            async with aio_watch.Watch() as watch, asyncio.timeout(PATIENCE_SECONDS):
                async for event in watch.stream(core.list_namespaced_config_map, space.name, resource_version=since):
                    seen.add(event["object"].metadata.name)
                    if seen >= names:
                        break
            custom = aio.CustomObjectsApi(client)
            made = await custom.create_namespaced_custom_object(GROUP, "v1", space.name, "kites", kite("a"))
            assert made["spec"]["replicas"] == 1

    asyncio.run(story())


def test_kr8s_on_a_kind_of_ones_own(space: Space) -> None:
    client = kr8s.api(kubeconfig=str(space.cluster.kubeconfig), namespace=space.name)
    kind = new_class(kind="Kite", version=f"{GROUP}/v1", namespaced=True, scalable=True, scalable_spec="replicas")
    made = kind(kite("a") | {"metadata": {"name": "a", "namespace": space.name}}, api=client)
    made.create()
    assert made.exists()
    made.label(tier="x")
    made.annotate(note="y")
    made.patch({"status": {"conditions": [{"type": "Up", "status": "True"}]}}, subresource="status", type="merge")
    made.wait("condition=Up", timeout=PATIENCE_SECONDS)
    made.wait("jsonpath='{.spec.colour}'=red", timeout=PATIENCE_SECONDS)
    made.scale(3)
    assert made.replicas == 3
    child = ConfigMap({"metadata": {"name": "child", "namespace": space.name}}, api=client)
    child.create()
    made.adopt(child)
    assert [one.name for one in client.get("kites", label_selector={"tier": "x"})] == ["a"]
    made.delete(propagation_policy="Foreground")
    made.wait("delete", timeout=PATIENCE_SECONDS)
    until_true(lambda: not child.exists(), "the child is gone")
    assert client.whoami() == "kubernetes-admin"
    assert ("kites", "Kite") in {(one["name"], one["kind"]) for one in client.api_resources()}


def test_kr8s_runs_scales_and_reads_logs(space: Space) -> None:
    client = kr8s.api(kubeconfig=str(space.cluster.kubeconfig), namespace=space.name)
    template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "busybox", "command": ["sh", "-c", "echo ahoy; sleep 3600"]}]}}
    web = Deployment({"metadata": {"name": "web", "namespace": space.name}, "spec": {
        "replicas": 1, "selector": {"matchLabels": {"app": "web"}}, "template": template}}, api=client)
    web.create()
    web.wait("condition=Available", timeout=PATIENCE_SECONDS)
    web.scale(2)
    until_true(lambda: len([one for one in web.pods() if one.ready()]) == 2, "two pods are ready")
    one = web.pods()[0]
    assert isinstance(one, Pod)
    until_true(lambda: list(one.logs()) == ["ahoy"], "it says something")
    web.delete()
