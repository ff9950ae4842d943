"""The official Python client and kr8s against a real cluster: objects, watches, exec, port-forward, logs."""

from __future__ import annotations

import queue
import threading
import urllib.request
from collections.abc import Iterator
from typing import Any

import kubernetes
import pytest
from kubernetes import client as api
from kubernetes.stream import portforward, stream
from kubernetes.watch import Watch

from e2e.real import Space, pod, web
from sampan.testing.waiting import PATIENCE_SECONDS, until_true

pytestmark = [pytest.mark.e2e, pytest.mark.filterwarnings("ignore")]  # others' deprecations and unclosed sockets are not ours


@pytest.fixture
def official(space: Space) -> Iterator[api.ApiClient]:
    with kubernetes.config.new_client_from_config(str(space.cluster.kubeconfig)) as found:
        yield found


def test_the_official_client_makes_reads_changes_and_deletes(space: Space, official: api.ApiClient) -> None:
    core = api.CoreV1Api(official)
    made = core.create_namespaced_config_map(space.name, api.V1ConfigMap(metadata=api.V1ObjectMeta(name="words"), data={"a": "1"}))
    assert made.metadata.uid
    core.patch_namespaced_config_map("words", space.name, {"data": {"b": "2"}})
    found = core.read_namespaced_config_map("words", space.name)
    found.data["c"] = "3"
    core.replace_namespaced_config_map("words", space.name, found)
    assert core.read_namespaced_config_map("words", space.name).data == {"a": "1", "b": "2", "c": "3"}
    found.data["c"] = "4"
    with pytest.raises(api.ApiException) as conflict:
        core.replace_namespaced_config_map("words", space.name, found)
    assert (conflict.value.status, conflict.value.reason) == (409, "Conflict")
    core.delete_namespaced_config_map("words", space.name)
    with pytest.raises(api.ApiException) as gone:
        core.read_namespaced_config_map("words", space.name)
    assert gone.value.status == 404


def test_the_official_client_watches(space: Space, official: api.ApiClient) -> None:
    core, seen = api.CoreV1Api(official), queue.Queue[tuple[str, str]]()
    since = core.list_namespaced_config_map(space.name).metadata.resource_version

    def follow() -> None:
        for event in Watch().stream(core.list_namespaced_config_map, space.name, resource_version=since, timeout_seconds=20):
            seen.put((event["type"], event["object"].metadata.name))
            if event["type"] == "DELETED":
                return
    thread = threading.Thread(target=follow)
    thread.start()
    core.create_namespaced_config_map(space.name, {"metadata": {"name": "seen"}})
    core.delete_namespaced_config_map("seen", space.name)
    thread.join(timeout=PATIENCE_SECONDS)
    assert [seen.get_nowait() for _ in range(2)] == [("ADDED", "seen"), ("DELETED", "seen")]


def test_the_official_client_reaches_into_a_pod(space: Space, official: api.ApiClient) -> None:
    space.run(web("page", "through the client"))
    core = api.CoreV1Api(official)
    said = stream(core.connect_get_namespaced_pod_exec, "page", space.name, command=["echo", "ahoy"], stderr=True, stdin=False, stdout=True, tty=False)
    assert said == "ahoy\n"
    talk = stream(core.connect_get_namespaced_pod_exec, "page", space.name, command=["sh", "-c", "read line; echo got $line; exit 5"],
                  stderr=True, stdin=True, stdout=True, tty=False, _preload_content=False)
    talk.write_stdin("words\n")
    talk.run_forever(timeout=PATIENCE_SECONDS)
    assert (talk.read_stdout(), talk.returncode) == ("got words\n", 5)
    forward = portforward(core.connect_get_namespaced_pod_portforward, "page", space.name, ports="8080")
    connection = forward.socket(8080)
    connection.settimeout(10)
    connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
    answer = b""
    while chunk := connection.recv(4096):
        answer += chunk
    connection.close()
    assert b"through the client" in answer


def test_the_official_client_applies_and_scales(space: Space, official: api.ApiClient) -> None:
    template = {"metadata": {"labels": {"app": "x"}}, "spec": pod("x")["spec"]}
    apps = api.AppsV1Api(official)
    apps.create_namespaced_deployment(space.name, {"metadata": {"name": "x"}, "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "x"}}, "template": template}})
    apps.patch_namespaced_deployment_scale("x", space.name, {"spec": {"replicas": 2}})
    until_true(lambda: apps.read_namespaced_deployment_status("x", space.name).status.ready_replicas == 2, "two replicas are ready")


def test_kr8s_makes_waits_execs_and_forwards(space: Space) -> None:
    import kr8s
    from kr8s.objects import ConfigMap, Pod

    cluster = kr8s.api(kubeconfig=str(space.cluster.kubeconfig), namespace=space.name)
    manifest: dict[str, Any] = web("page", "through kr8s")
    manifest["metadata"]["namespace"] = space.name
    made = Pod(manifest, api=cluster)
    made.create()
    made.wait("condition=Ready", timeout=PATIENCE_SECONDS)
    assert made.exec(["echo", "ahoy"]).stdout == b"ahoy\n"
    with made.portforward(remote_port=8080) as port:
        assert urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=PATIENCE_SECONDS).read() == b"through kr8s\n"
    words = ConfigMap({"metadata": {"name": "words", "namespace": space.name}, "data": {"a": "1"}}, api=cluster)
    words.create()
    words.patch({"data": {"b": "2"}})
    assert {one.name for one in cluster.get("configmaps") if not one.name.startswith("kube-")} == {"words"}
    assert ConfigMap.get("words", namespace=space.name, api=cluster).data.to_dict() == {"a": "1", "b": "2"}
    words.delete()
    made.delete()
