"""lightkube, sync and async, on a simulated cluster: objects, applies, watches, selectors, custom kinds, logs, exec."""

from __future__ import annotations

import asyncio
import gc
import queue
import signal
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from lightkube import ApiError, AsyncClient, Client, KubeConfig, codecs
from lightkube.core.exceptions import ConditionError
from lightkube.generic_resource import create_namespaced_resource, create_resources_from_crd
from lightkube.models.apps_v1 import DeploymentSpec
from lightkube.models.autoscaling_v1 import ScaleSpec
from lightkube.models.core_v1 import Container, PodSpec, PodTemplateSpec
from lightkube.models.meta_v1 import LabelSelector, ObjectMeta
from lightkube.operators import equal, exists, in_, not_equal
from lightkube.resources.apiextensions_v1 import CustomResourceDefinition
from lightkube.resources.apps_v1 import Deployment
from lightkube.resources.core_v1 import ConfigMap, Event, Node, Pod, ServiceAccount
from lightkube.types import CascadeType, PatchType

from e2e.real import Cluster, Space
from sampan.testing.waiting import PATIENCE_SECONDS, until_true

pytestmark = [pytest.mark.e2e, pytest.mark.filterwarnings("ignore")]  # others' deprecations and unclosed sockets are not ours

GROUP = "jars.example.com"
DEFINITION: dict[str, Any] = {
    "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": f"jars.{GROUP}"},
    "spec": {"group": GROUP, "scope": "Namespaced", "names": {"plural": "jars", "singular": "jar", "kind": "Jar"}, "versions": [{
        "name": "v1", "served": True, "storage": True,
        "subresources": {"status": {}, "scale": {"specReplicasPath": ".spec.cookies", "statusReplicasPath": ".status.cookies"}},
        "schema": {"openAPIV3Schema": {"type": "object", "properties": {
            "spec": {"type": "object", "properties": {"cookies": {"type": "integer", "maximum": 9}, "lid": {"type": "string", "default": "on"}}},
            "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}}}}]}}
Jar = create_namespaced_resource(GROUP, "v1", "Jar", "jars")


@pytest.fixture(autouse=True)
def bounded() -> Iterator[None]:
    """No test takes over two minutes: lightkube's own waits have no deadline."""
    def late(*_: object) -> None:
        raise AssertionError("this took over 120 s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(120)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def client(simulated_space: Space) -> Iterator[Client]:
    with Client(config=KubeConfig.from_file(str(simulated_space.cluster.kubeconfig)), namespace=simulated_space.name, field_manager="lightkube") as found:
        yield found


@pytest.fixture(autouse=True)
def swept() -> Iterator[None]:
    """What a client leaves open is found here, where it is ignored, and not in a later test."""
    yield
    gc.collect()


@pytest.fixture(scope="module")
def jars(simulated_cluster: Cluster) -> Iterator[None]:
    """The kind Jar, made and waited for through lightkube."""
    with Client(config=KubeConfig.from_file(str(simulated_cluster.kubeconfig)), field_manager="lightkube") as client:
        client.create(CustomResourceDefinition.from_dict(DEFINITION))
        client.wait(CustomResourceDefinition, f"jars.{GROUP}", for_conditions=["Established"])
        yield
        client.delete(CustomResourceDefinition, f"jars.{GROUP}", cascade=CascadeType.FOREGROUND)


def words(name: str, **labels: str) -> ConfigMap:
    return ConfigMap(metadata=ObjectMeta(name=name, labels=labels or None), data={"name": name})


def deployment(name: str, replicas: int) -> Deployment:
    template = PodTemplateSpec(metadata=ObjectMeta(labels={"app": name}), spec=PodSpec(containers=[Container(name="c", image="web:1")]))
    return Deployment(apiVersion="apps/v1", kind="Deployment", metadata=ObjectMeta(name=name),
                      spec=DeploymentSpec(replicas=replicas, selector=LabelSelector(matchLabels={"app": name}), template=template))


def shell(name: str, script: str) -> Pod:
    return Pod(metadata=ObjectMeta(name=name), spec=PodSpec(
        restartPolicy="Never", terminationGracePeriodSeconds=0, containers=[Container(name="c", image="busybox", command=["sh", "-c", script])]))


def test_objects_are_made_read_replaced_patched_and_deleted(client: Client) -> None:
    made = client.create(words("one"))
    assert made.metadata is not None
    assert made.metadata.uid
    client.patch(ConfigMap, "one", {"data": {"b": "2"}})
    client.patch(ConfigMap, "one", {"data": {"name": None}}, patch_type=PatchType.MERGE)
    client.patch(ConfigMap, "one", [{"op": "add", "path": "/data/c", "value": "3"}], patch_type=PatchType.JSON)
    client.set(ConfigMap, "one", labels={"tier": "x"}, annotations={"note": "y"})
    found = client.get(ConfigMap, "one")
    assert found.data == {"b": "2", "c": "3"}
    assert (found.metadata.labels, found.metadata.annotations) == ({"tier": "x"}, {"note": "y"})
    found.data = {"d": "4"}
    assert client.replace(found).data == {"d": "4"}
    with pytest.raises(ApiError) as stale:
        client.replace(found)
    assert (stale.value.status.code, stale.value.status.reason) == (409, "Conflict")
    client.delete(ConfigMap, "one")
    with pytest.raises(ApiError) as gone:
        client.get(ConfigMap, "one")
    assert (gone.value.status.code, gone.value.status.message) == (404, 'configmaps "one" not found')


def test_lists_are_selected_and_paged(client: Client, simulated_space: Space) -> None:
    for number in range(7):
        client.create(words(f"c{number}", tier="even" if number % 2 == 0 else "odd", **({"first": "yes"} if number == 0 else {})))

    def named(**selectors: Any) -> list[str]:
        return sorted(str(one.metadata.name) for one in client.list(ConfigMap, **selectors))

    assert named(labels={"tier": "odd"}) == ["c1", "c3", "c5"]
    assert named(labels={"tier": in_(["even"]), "first": exists()}) == ["c0"]
    assert named(labels={"tier": not_equal("odd"), "first": None}) == ["c0"]
    assert named(fields={"metadata.name": equal("c4")}) == ["c4"]
    assert named(labels={"tier": exists()}, chunk_size=3) == [f"c{number}" for number in range(7)]
    everywhere = {one.metadata.namespace for one in client.list(ServiceAccount, namespace="*")}
    assert {simulated_space.name, "kube-system"} <= everywhere
    assert len(list(client.list(Node))) == 2
    client.deletecollection(ConfigMap)
    assert named(labels={"tier": exists()}) == []


def test_applied_fields_have_owners(client: Client) -> None:
    manifest = ConfigMap(apiVersion="v1", kind="ConfigMap", metadata=ObjectMeta(name="shared"), data={"a": "1"})
    client.apply(manifest)
    theirs = ConfigMap(apiVersion="v1", kind="ConfigMap", metadata=ObjectMeta(name="shared"), data={"a": "2", "b": "2"})
    with pytest.raises(ApiError) as conflict:
        client.apply(theirs, field_manager="other")
    assert conflict.value.status.code == 409
    assert [(cause.reason, cause.field) for cause in conflict.value.status.details.causes] == [("FieldManagerConflict", ".data.a")]
    assert client.apply(theirs, field_manager="other", force=True).data == {"a": "2", "b": "2"}
    assert client.apply(ConfigMap(apiVersion="v1", kind="ConfigMap", metadata=ObjectMeta(name="shared")), field_manager="other").data is None


def test_a_watch_follows_until_told_and_goes_on_where_it_was(client: Client) -> None:
    seen: queue.Queue[tuple[str, str]] = queue.Queue()

    def follow() -> None:
        for kind, one in client.watch(ConfigMap, labels={"watched": "yes"}, server_timeout=60):
            seen.put((kind, str(one.metadata.name)))
            if kind == "DELETED":
                return

    client.create(words("a", watched="yes"))
    thread = threading.Thread(target=follow)
    thread.start()
    assert seen.get(timeout=PATIENCE_SECONDS) == ("ADDED", "a")
    client.create(words("ignored"))
    client.patch(ConfigMap, "a", {"data": {"b": "2"}})
    client.delete(ConfigMap, "a")
    thread.join(timeout=PATIENCE_SECONDS)
    assert [seen.get(timeout=1) for _ in range(2)] == [("MODIFIED", "a"), ("DELETED", "a")]


def test_a_deployment_is_waited_for_scaled_and_taken_away(client: Client) -> None:
    client.apply(deployment("web", 2))
    done = client.wait(Deployment, "web", for_conditions=["Available"])
    assert done.status.observedGeneration == 1
    scale = client.get(Deployment.Scale, "web")
    assert scale.spec.replicas == 2
    scale.spec = ScaleSpec(replicas=3)
    client.replace(scale, "web")
    until_true(lambda: client.get(Deployment.Status, "web").status.readyReplicas == 3, "three replicas are ready")
    client.delete(Deployment, "web", cascade=CascadeType.FOREGROUND)
    until_true(lambda: not list(client.list(Pod, labels={"app": "web"})), "the pods are gone")


def test_pods_log_and_leave_events(client: Client) -> None:
    client.create(shell("talker", "echo one; echo two >&2; sleep 1; echo three"))
    until_true(lambda: started(client, "talker"), "the pod starts")
    assert list(client.log("talker", follow=True, newlines=False)) == ["one", "two", "three"]
    until_true(lambda: client.get(Pod, "talker").status.phase == "Succeeded", "the pod ends")
    assert list(client.log("talker", newlines=False)) == ["one", "two", "three"]
    assert list(client.log("talker", tail_lines=1)) == ["three\n"]
    client.create(shell("server", "sleep 3600"))
    client.wait(Pod, "server", for_conditions=["Ready"])
    until_true(lambda: "Started" in {one.reason for one in client.list(Event, fields={"involvedObject.name": "server"})}, "its events")


def started(client: Client, name: str) -> bool:
    states = client.get(Pod, name).status.containerStatuses or []
    return any(one.state.running or one.state.terminated for one in states)


def test_a_kind_of_ones_own(client: Client, jars: None) -> None:
    made = client.create(Jar(metadata={"name": "j"}, spec={"cookies": 3}))
    assert made["spec"] == {"cookies": 3, "lid": "on"}
    with pytest.raises(ApiError) as refused:
        client.patch(Jar, "j", {"spec": {"cookies": 10}}, patch_type=PatchType.MERGE)
    assert refused.value.status.code == 422
    assert "should be less than or equal to 9" in refused.value.status.message
    client.patch(Jar.Status, "j", {"status": {"conditions": [{"type": "Full", "status": "True"}]}}, patch_type=PatchType.MERGE)
    assert client.wait(Jar, "j", for_conditions=["Full"]).metadata.name == "j"
    scale = client.get(Jar.Scale, "j")
    scale.spec.replicas = 5
    client.replace(scale, "j")
    assert client.get(Jar, "j").spec["cookies"] == 5
    again = Jar(apiVersion=f"{GROUP}/v1", kind="Jar", metadata=ObjectMeta(name="j"), spec={"lid": "off"})
    assert client.apply(again, force=True).spec == {"cookies": 5, "lid": "off"}
    # its class can be made from the definition too, and manifests name it
    create_resources_from_crd(client.get(CustomResourceDefinition, f"jars.{GROUP}"))
    (loaded,) = codecs.load_all_yaml(f"apiVersion: {GROUP}/v1\nkind: Jar\nmetadata: {{name: k}}\nspec: {{cookies: 1}}\n")
    client.create(loaded)
    assert sorted(one.metadata.name for one in client.list(Jar)) == ["j", "k"]


def test_the_async_client_does_it_too(simulated_space: Space, jars: None) -> None:
    async def story() -> None:
        config = KubeConfig.from_file(str(simulated_space.cluster.kubeconfig))
        async with AsyncClient(config=config, namespace=simulated_space.name, field_manager="lightkube") as client:
            seen: list[tuple[str, str]] = []
            begun = asyncio.Event()

            async def follow() -> None:
                async for kind, one in client.watch(Jar, server_timeout=60):
                    seen.append((kind, one.metadata.name))
                    begun.set()
                    if kind == "DELETED":
                        return

            await client.create(Jar(metadata={"name": "j"}, spec={"cookies": 1}))
            async with asyncio.timeout(PATIENCE_SECONDS), asyncio.TaskGroup() as group:
                group.create_task(follow())
                await begun.wait()
                await client.patch(Jar, "j", {"spec": {"cookies": 2}}, patch_type=PatchType.MERGE)
                await client.delete(Jar, "j")
            assert seen == [("ADDED", "j"), ("MODIFIED", "j"), ("DELETED", "j")]
            await asyncio.gather(*[client.apply(ConfigMap(apiVersion="v1", kind="ConfigMap", metadata=ObjectMeta(name=f"c{n}", labels={"n": "y"}))) for n in range(20)])
            assert len([one async for one in client.list(ConfigMap, labels={"n": "y"}, chunk_size=6)]) == 20
            await client.create(shell("talker", "echo one; echo two"))
            with pytest.raises(ConditionError):
                await client.wait(Pod, "talker", for_conditions=["Nothing"], raise_for_conditions=["Initialized"])
            await client.create(shell("server", "sleep 3600"))
            await client.wait(Pod, "server", for_conditions=["Ready"])
            # the sync client's exec leaves a thread that reads a closed descriptor (httpx2 2.16), soon the next connection's
            said = await client.exec("server", command=["sh", "-c", "echo ahoy; echo oh >&2; exit 3"], stdout=True, stderr=True)
            assert (said.stdout, said.stderr, said.exit_code) == ("ahoy\n", "oh\n", 3)
            assert (await client.exec("server", command=["cat"], stdin="through\n", stdout=True)).stdout == "through\n"

    asyncio.run(story())
