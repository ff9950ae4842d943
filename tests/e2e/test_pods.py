"""What a pod's spec asks of a node, on real containers: order, hooks, environment, volumes, limits, users, probes."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from e2e.real import FOREVER, IMAGE, Space, container, pod, web
from sampan.testing.waiting import until_true

pytestmark = pytest.mark.e2e


def _state(found: dict[str, Any], name: str = "main", kind: str = "containerStatuses") -> dict[str, Any]:
    nothing_yet: dict[str, Any] = {"restartCount": 0, "ready": False, "state": {}}
    return next((status for status in found["status"].get(kind, ()) if status["name"] == name), nothing_yet)


def _waits(reason: str):
    return lambda found: reason in json.dumps([s.get("state", {}) for s in found["status"].get("containerStatuses", ())])


def _cgroup(space: Space, found: dict[str, Any], controller: str) -> Path:
    """The container's cgroup, as its process has it."""
    container_id = _state(found)["containerID"].removeprefix("containerd://")
    pid = space.cluster.tasks()[container_id]
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, names, path = line.split(":", 2)
        if controller in names.split(",") and (folder := Path("/sys/fs/cgroup", controller, path.lstrip("/"))).is_dir():
            return folder
        if not names and Path("/sys/fs/cgroup/cgroup.controllers").exists():
            return Path("/sys/fs/cgroup", path.lstrip("/"))
    raise AssertionError(f"no {controller} cgroup of {pid}")


def test_init_containers_come_first_and_sidecars_beside(space: Space) -> None:
    # given
    shared = [{"name": "shared", "mountPath": "/shared"}]
    side = container("side", f"echo side >> /shared/order; {FOREVER}", restartPolicy="Always", volumeMounts=shared,
                     startupProbe={"exec": {"command": ["test", "-s", "/shared/order"]}, "periodSeconds": 1})
    inits = [container("first", "echo first >> /shared/order", volumeMounts=shared), side, container("second", "echo second >> /shared/order", volumeMounts=shared)]
    main = container(script="cat /shared/order; echo main", volumeMounts=shared)
    # when
    space.apply(pod("order", main, initContainers=inits, volumes=[{"name": "shared", "emptyDir": {}}], restartPolicy="Never"))
    # then the sidecar does not keep the pod alive
    found = space.ended("order")
    assert found["status"]["phase"] == "Succeeded"
    assert space.logs("order").splitlines() == ["first", "side", "second", "main"]
    assert _state(found, "first", "initContainerStatuses")["state"]["terminated"]["reason"] == "Completed"


def test_a_failing_init_container_keeps_the_pod_from_starting(space: Space) -> None:
    space.apply(pod("stuck", container(), initContainers=[container("bad", "exit 4")], restartPolicy="Never"))
    found = space.ended("stuck")
    assert found["status"]["phase"] == "Failed"
    assert _state(found, "bad", "initContainerStatuses")["state"]["terminated"]["exitCode"] == 4
    assert "waiting" in _state(found)["state"]


def test_hooks_run_after_the_start_and_before_the_stop(space: Space, tmp_path: Path) -> None:
    # given
    tmp_path.chmod(0o777)
    mounts = [{"name": "host", "mountPath": "/host"}]
    hooks = {"postStart": {"exec": {"command": ["sh", "-c", "echo started >> /host/hooks"]}},
             "preStop": {"exec": {"command": ["sh", "-c", "echo stopping >> /host/hooks"]}}}
    main = container(script="trap 'echo terminated >> /host/hooks; exit 0' TERM; " + FOREVER, lifecycle=hooks, volumeMounts=mounts)
    space.run(pod("hooked", main, terminationGracePeriodSeconds=10, volumes=[{"name": "host", "hostPath": {"path": str(tmp_path), "type": "Directory"}}]))
    until_true((tmp_path / "hooks").exists, "the postStart hook has run")
    # when
    space.kubectl("delete", "pod", "hooked")
    # then
    assert (tmp_path / "hooks").read_text().split() == ["started", "stopping", "terminated"]


def test_the_grace_period_is_given_and_force_is_at_once(space: Space) -> None:
    # given two that ignore TERM
    deaf = {"name": "main", "image": IMAGE, "imagePullPolicy": "IfNotPresent", "command": ["sh", "-c", "trap '' TERM; while :; do sleep 1; done"]}
    patient, forced = space.run(pod("patient", deaf, terminationGracePeriodSeconds=8), pod("forced", deaf, terminationGracePeriodSeconds=300))
    pids = {name: space.cluster.tasks()[_state(found)["containerID"].removeprefix("containerd://")] for name, found in (("patient", patient), ("forced", forced))}
    # when
    space.kubectl("delete", "pod", "patient", "--wait=false")
    waited = Path(f"/proc/{pids['patient']}").exists()
    leaving = space.get("pod", "patient")
    space.kubectl("delete", "pod", "forced", "--grace-period=0", "--force")
    # then
    assert leaving["metadata"]["deletionGracePeriodSeconds"] == 8
    assert waited
    assert space.get("pod", "forced") is None
    until_true(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids.values()), "both processes are gone")
    until_true(lambda: space.get("pod", "patient") is None, "the pod is gone")


def test_the_environment_comes_from_everywhere(space: Space) -> None:
    # given
    space.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"COLOR": "blue", "SIZE": "7"}},
                {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "hidden"}, "stringData": {"word": "ahoy"}})
    env = [{"name": "PLAIN", "value": "text"}, {"name": "COMPOSED", "value": "$(PLAIN)-$(COLOR) $$(PLAIN)"},
           {"name": "ONE", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "SIZE"}}},
           {"name": "WORD", "valueFrom": {"secretKeyRef": {"name": "hidden", "key": "word"}}},
           {"name": "NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
           {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
           {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
           {"name": "CPU", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu", "divisor": "1m"}}}]
    main = container(script="env", env=env, envFrom=[{"configMapRef": {"name": "settings"}}, {"secretRef": {"name": "hidden"}, "prefix": "S_"}],
                     resources={"limits": {"cpu": "250m"}})
    # when
    space.apply(pod("surroundings", main, restartPolicy="Never"))
    found = space.ended("surroundings")
    seen = dict(line.split("=", 1) for line in space.logs("surroundings").splitlines())
    # then
    expected = {"PLAIN": "text", "COMPOSED": "text-blue $(PLAIN)", "COLOR": "blue", "ONE": "7", "WORD": "ahoy", "S_word": "ahoy",
                "NAME": "surroundings", "NODE": space.cluster.node, "CPU": "250", "KUBERNETES_SERVICE_PORT": "443", "HOSTNAME": "surroundings"}
    assert {name: seen.get(name) for name in expected} == expected
    assert seen["IP"] == found["status"]["podIP"]


def test_every_kind_of_volume_has_its_files(space: Space, tmp_path: Path) -> None:
    # given
    space.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "files"}, "data": {"a": "alpha", "b": "beta"}},
                {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "hidden"}, "stringData": {"word": "ahoy"}})
    (tmp_path / "given").write_text("from the host")
    volumes = {
        "config": {"configMap": {"name": "files", "items": [{"key": "a", "path": "sub/renamed", "mode": 0o440}]}},
        "secret": {"secret": {"secretName": "hidden", "defaultMode": 0o400}},
        "scratch": {"emptyDir": {}}, "memory": {"emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}},
        "host": {"hostPath": {"path": str(tmp_path), "type": "Directory"}},
        "made": {"hostPath": {"path": str(tmp_path / "made"), "type": "DirectoryOrCreate"}},
        "down": {"downwardAPI": {"items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]}},
        "mixed": {"projected": {"sources": [{"configMap": {"name": "files"}}, {"secret": {"name": "hidden"}},
                                            {"serviceAccountToken": {"path": "token", "audience": "somebody", "expirationSeconds": 600}}]}}}
    main = container(script=FOREVER, volumeMounts=[
        *({"name": name, "mountPath": f"/v/{name}"} for name in volumes), {"name": "config", "mountPath": "/one", "subPath": "sub/renamed"}])
    # when
    space.run(pod("volumes", main, volumes=[{"name": name, **source} for name, source in volumes.items()]))
    # then
    assert space.sh("volumes", "cat /v/config/sub/renamed /one /v/secret/word /v/mixed/a /v/mixed/word /v/host/given") == "alphaalphaahoyalphaahoyfrom the host"
    assert space.sh("volumes", "cat /v/down/labels").strip() == 'app="volumes"'
    assert space.sh("volumes", "stat -L -c %a /v/secret/word /v/config/sub/renamed").split() == ["400", "440"]
    assert "tmpfs /v/memory tmpfs" in space.sh("volumes", "grep /v/memory /proc/mounts")
    assert space.sh("volumes", "dd if=/dev/zero of=/v/memory/big bs=1k count=2000 2>&1 || echo full", check=False).strip().endswith("full")
    assert space.sh("volumes", "echo x > /v/config/new || echo readonly").strip() == "readonly"
    space.sh("volumes", "echo back > /v/made/file; echo kept > /v/scratch/file")
    assert (tmp_path / "made" / "file").read_text() == "back\n"
    claims = json.loads(base64.urlsafe_b64decode(space.sh("volumes", "cat /v/mixed/token").split(".")[1] + "=="))
    assert claims["aud"] == ["somebody"]


def test_a_wrong_host_path_keeps_the_pod_waiting_and_says_why(space: Space, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    space.apply(pod("wrong", container(volumeMounts=[{"name": "host", "mountPath": "/h"}]),
                    volumes=[{"name": "host", "hostPath": {"path": str(tmp_path / "file"), "type": "Directory"}}]))
    until_true(lambda: f"{tmp_path}/file is not a directory" in space.kubectl("get", "events").stdout, "an event says what is wrong")


def test_the_service_account_token_really_authenticates(space: Space) -> None:
    # given a pod that asks the API by its token, as any client library does
    space.run(pod("asks"))
    token = space.sh("asks", "cat /var/run/secrets/kubernetes.io/serviceaccount/token")
    # when
    who = space.kubectl("auth", "whoami", "-o", "json", f"--token={token}", "--kubeconfig=/dev/null", "--insecure-skip-tls-verify",
                        f"--server=https://127.0.0.1:{space.cluster.config.port}")
    # then
    info = json.loads(who.stdout)["status"]["userInfo"]
    assert info["username"] == f"system:serviceaccount:{space.name}:default"
    assert info["extra"]["authentication.kubernetes.io/pod-name"] == ["asks"]
    assert space.sh("asks", "cat /var/run/secrets/kubernetes.io/serviceaccount/namespace") == space.name
    assert "BEGIN CERTIFICATE" in space.sh("asks", "cat /var/run/secrets/kubernetes.io/serviceaccount/ca.crt")


def test_a_host_network_pod_shares_the_machines_network(space: Space) -> None:
    (found,) = space.run(pod("onhost", hostNetwork=True))
    assert found["status"]["podIP"] == found["status"]["hostIP"]
    assert "sampan" in space.sh("onhost", "ls /sys/class/net")


def test_a_host_port_leads_to_the_container(space: Space) -> None:
    # given
    serving = web("ported", "by host port", ports=[{"name": "http", "containerPort": 8080, "hostPort": 28080}])
    (found,) = space.run(serving, pod("caller"))[:1]
    # when from another pod, over the node's address
    page = space.exec("caller", "wget", "-q", "-O", "-", f"http://{found['status']['hostIP']}:28080/")
    # then
    assert page == "by host port\n"


def test_resources_become_limits_in_the_kernel(space: Space) -> None:
    # given
    limits = {"requests": {"cpu": "100m", "memory": "16Mi"}, "limits": {"cpu": "500m", "memory": "64Mi"}}
    (found,) = space.run(pod("limited", container(script=FOREVER, resources=limits)))
    # then
    assert found["status"]["qosClass"] == "Burstable"
    memory = _cgroup(space, found, "memory")
    unified = (memory / "memory.max").exists()
    assert (memory / ("memory.max" if unified else "memory.limit_in_bytes")).read_text().strip() == str(64 << 20)
    assert (memory.parent / ("memory.max" if unified else "memory.limit_in_bytes")).read_text().strip() == str(64 << 20)
    cpu = _cgroup(space, found, "cpu")
    assert (cpu / ("cpu.max" if unified else "cpu.cfs_quota_us")).read_text().split()[0] == "50000"
    if not unified:
        assert (cpu / "cpu.shares").read_text().strip() == "102"
    assert f"burstable/pod{found['metadata']['uid']}" in str(cpu)


def test_too_much_memory_is_oomkilled(space: Space) -> None:
    eat = container(script="x=a; while :; do x=$x$x; done", resources={"limits": {"memory": "24Mi"}})
    space.apply(pod("greedy", eat, restartPolicy="Never"))
    ended = _state(space.ended("greedy"))["state"]["terminated"]
    assert (ended["reason"], ended["exitCode"]) == ("OOMKilled", 137)


def test_users_capabilities_and_a_read_only_root(space: Space) -> None:
    security = {"runAsUser": 1234, "runAsGroup": 2345, "readOnlyRootFilesystem": True, "allowPrivilegeEscalation": False,
                "capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}}
    space.run(pod("safe", container(script=FOREVER, securityContext=security), securityContext={"supplementalGroups": [77], "fsGroup": 88}))
    assert space.sh("safe", "id").strip().startswith("uid=1234 gid=2345 groups=77,88")
    assert "Read-only" in space.sh("safe", "touch /x 2>&1", check=False)
    status = space.sh("safe", "cat /proc/1/status")
    assert "NoNewPrivs:\t1" in status
    assert "CapBnd:\t0000000000000400" in status
    must = container(securityContext={"runAsNonRoot": True})
    space.apply(pod("notroot", must))
    found = space.pod("notroot", _waits("CreateContainerConfigError"), "does not run as root")
    assert "runAsNonRoot" in _state(found)["state"]["waiting"]["message"]


def test_termination_messages_come_from_the_file_or_the_log(space: Space) -> None:
    by_file = container("file", "echo from the file > /dev/termination-log; exit 1")
    by_log = container("log", "echo from the log; exit 1", terminationMessagePolicy="FallbackToLogsOnError")
    space.apply(pod("words", by_file, by_log, restartPolicy="Never"))
    found = space.ended("words")
    assert _state(found, "file")["state"]["terminated"]["message"] == "from the file\n"
    assert _state(found, "log")["state"]["terminated"]["message"] == "from the log\n"


def test_images_that_cannot_be_had_say_so(space: Space) -> None:
    never = {"name": "main", "image": "sampan.local/none:1", "imagePullPolicy": "Never"}
    unreachable = {"name": "main", "image": "127.0.0.1:9/nowhere:1"}
    invalid = {"name": "main", "image": "UPPER CASE"}
    space.apply(pod("never", never), pod("unreachable", unreachable), pod("invalid", invalid))
    space.pod("never", _waits("ErrImageNeverPull"), "may not pull")
    space.pod("invalid", _waits("InvalidImageName"), "has a name that is none")
    space.pod("unreachable", _waits("ImagePullBackOff"), "backs off from pulling")
    assert "Failed to pull image" in space.kubectl("get", "events").stdout


def test_probes_of_all_kinds_decide_over_a_container(space: Space) -> None:
    # given one pod with a probe by exec, http and tcp each, and a port that nobody serves
    tcp = web("bytcp", readinessProbe={"tcpSocket": {"port": "http"}, "periodSeconds": 1})
    by_exec = container(script=f"touch /tmp/ok; {FOREVER}", readinessProbe={"exec": {"command": ["test", "-e", "/tmp/ok"]}, "periodSeconds": 1})
    closed = container(script=FOREVER, readinessProbe={"tcpSocket": {"port": 81}, "periodSeconds": 1})
    sick = container(script=f"[ -e /keep/again ] || touch /tmp/sick /keep/again; {FOREVER}", volumeMounts=[{"name": "keep", "mountPath": "/keep"}],
                     livenessProbe={"exec": {"command": ["test", "!", "-e", "/tmp/sick"]}, "periodSeconds": 1, "failureThreshold": 1})
    space.run(tcp, web("byhttp"), pod("byexec", by_exec))
    space.apply(pod("closed", closed), pod("sick", sick, volumes=[{"name": "keep", "emptyDir": {}}]))
    # then
    found = space.pod("sick", lambda seen: _state(seen)["restartCount"] == 1 and _state(seen)["ready"], "has been restarted")
    assert "terminated" in _state(found)["lastState"]
    assert not _state(space.get("pod", "closed"))["ready"]
    space.sh("byexec", "rm /tmp/ok")
    space.pod("byexec", lambda seen: not _state(seen)["ready"], "is not ready any more")
    until_true(lambda: "Readiness probe failed" in space.kubectl("get", "events").stdout, "an event tells of the probe")
