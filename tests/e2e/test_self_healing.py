"""Whatever dies comes back: containers, pods, the node agent, containerd, the control plane; what runs goes on."""

from __future__ import annotations

import os
import signal
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from e2e.real import FOREVER, Cluster, Space, container, pod, service, web
from sampan.testing.waiting import PATIENCE_SECONDS, until_true

pytestmark = pytest.mark.e2e


def _main(found: dict[str, Any]) -> dict[str, Any]:
    return found["status"]["containerStatuses"][0]


def _pid(space: Space, found: dict[str, Any]) -> int:
    return space.cluster.tasks()[_main(found)["containerID"].removeprefix("containerd://")]


def _config_map(**data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "words"}, "data": data}


def _watching(name: str) -> dict[str, Any]:
    mounted = container(script=FOREVER, volumeMounts=[{"name": "words", "mountPath": "/words"}])
    return pod(name, mounted, volumes=[{"name": "words", "configMap": {"name": "words"}}])


def _kill(cluster: Cluster, name: str) -> None:
    """Kill a process of the cluster and wait until it runs again."""
    pid = cluster.process(name)
    os.kill(pid, signal.SIGKILL)
    until_true(lambda: cluster.process(name) not in (0, pid), f"{name} runs again")


def test_a_killed_container_is_restarted_at_once_then_backs_off(space: Space) -> None:
    # given
    (found,) = space.run(pod("dies"))
    # when
    os.kill(_pid(space, found), signal.SIGKILL)
    # then
    again = space.pod("dies", lambda seen: _main(seen)["restartCount"] == 1 and _main(seen)["ready"], "runs again")
    assert _main(again)["lastState"]["terminated"]["exitCode"] == 137
    os.kill(_pid(space, again), signal.SIGKILL)
    waiting = space.pod("dies", lambda seen: _main(seen)["state"].get("waiting", {}).get("reason") == "CrashLoopBackOff", "backs off")
    assert "back-off 10s restarting failed container=main" in _main(waiting)["state"]["waiting"]["message"]


def test_a_deleted_pod_is_replaced(space: Space) -> None:
    # given
    template = {"metadata": {"labels": {"app": "web"}}, "spec": pod("web")["spec"]}
    space.apply({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
                 "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "web"}}, "template": template}})
    space.kubectl("rollout", "status", "deployment/web", "--timeout=120s")
    first = {one["metadata"]["name"] for one in space.get("pods")["items"]}
    # when
    space.kubectl("delete", "pod", min(first))
    # then
    def replaced() -> set[str]:
        names = {one["metadata"]["name"] for one in space.get("pods")["items"] if "deletionTimestamp" not in one["metadata"]}
        return names if len(names) == 2 and min(first) not in names else set()

    names = until_true(replaced, "another pod takes its place")
    until_true(lambda: space.get("deployment", "web")["status"].get("readyReplicas") == 2, "two replicas are ready")
    assert names & first == {max(first)}


def test_a_pod_that_is_not_ready_leaves_the_service(space: Space) -> None:
    # given
    good, bad = space.run(web("good", "good", labels={"app": "both"}), web("bad", "bad", labels={"app": "both"}), service("both", "both"), pod("caller"))[:2]
    assert {good["status"]["phase"], bad["status"]["phase"]} == {"Running"}

    def pages() -> set[str]:
        return set(space.sh("caller", "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do wget -q -O - http://both/; done", check=False).split())
    until_true(lambda: pages() == {"good", "bad"}, "both serve")
    # when
    space.sh("bad", "rm /tmp/www/index.html")
    # then
    until_true(lambda: pages() == {"good"}, "only the ready one serves")
    space.sh("bad", "echo bad > /tmp/www/index.html")
    until_true(lambda: pages() == {"good", "bad"}, "it serves again")


def test_a_killed_agent_comes_back_and_finds_its_pods(space: Space) -> None:
    # given
    space.apply(_config_map(word="one"))
    (found,) = space.run(_watching("keeps"))
    pid = _pid(space, found)
    # when the agent dies, and a container while it is away
    _kill(space.cluster, space.cluster.node)
    space.apply(_config_map(word="two"))
    # then the process is the same one, and the agent works for it again
    until_true(lambda: space.sh("keeps", "cat /words/word", check=False) == "two", "the new word is in the volume")
    again = space.get("pod", "keeps")
    assert (_pid(space, again), _main(again)["restartCount"]) == (pid, 0)
    os.kill(pid, signal.SIGKILL)
    space.pod("keeps", lambda seen: _main(seen)["restartCount"] == 1 and _main(seen)["ready"], "is restarted by the new agent")


def test_a_killed_containerd_comes_back_and_its_pods_never_left(space: Space) -> None:
    # given
    (found,) = space.run(web("stays", "still here"))
    pid = _pid(space, found)
    containerd = int(Path(space.cluster.socket).with_name("containerd.pid").read_text())
    # when
    os.kill(containerd, signal.SIGKILL)
    # then the page is served by the very same process, before and after
    assert Path(f"/proc/{pid}").exists()
    address = f"http://{found['status']['podIP']}:8080/"
    assert urllib.request.urlopen(address, timeout=PATIENCE_SECONDS).read() == b"still here\n"
    until_true(lambda: space.kubectl("exec", "stays", "--", "true", check=False).returncode == 0, "exec works again")
    assert _pid(space, found) == pid
    space.run(pod("new"))


def test_a_killed_control_plane_loses_nothing_that_it_acknowledged(space: Space) -> None:
    # given
    space.apply(_config_map(word="one"))
    (found,) = space.run(_watching("works"))
    pid = _pid(space, found)
    space.apply(_config_map(word="two", more="acknowledged"))
    # when
    _kill(space.cluster, "control-plane")
    # then
    until_true(lambda: space.kubectl("get", "--raw=/readyz", check=False).stdout == "ok", "the API is ready again")
    assert space.get("configmap", "words")["data"] == {"word": "two", "more": "acknowledged"}
    assert _pid(space, found) == pid
    # and everything goes on: the agent watches, the scheduler binds, controllers work
    space.apply(_config_map(word="three"))
    until_true(lambda: space.sh("works", "cat /words/word", check=False) == "three", "the new word is in the volume")
    space.run(pod("after"))
