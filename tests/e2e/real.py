"""One real cluster for the tests of this folder, as `sampan up` starts it, and kubectl on it.

Owns: starting and removing it, asking it through the real kubectl, containerd's own view of what runs, and waiting
for conditions. Every wait has a deadline and says what did not happen.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

from sampan.cluster import processes
from sampan.cluster.config import ClusterConfig, load
from sampan.testing.waiting import PATIENCE_SECONDS, until_true

T = TypeVar("T")
IMAGE = "sampan.local/busybox:1"
PATH = f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin"


def sampan(*words: str, **environment: str) -> str:
    """Run the installed command as a user would; what it prints."""
    done = subprocess.run([sys.executable, "-m", "sampan", *words], capture_output=True, text=True, check=False,
                          env={**os.environ, **environment})
    assert done.returncode == 0, f"sampan {' '.join(words)}: {done.stdout}{done.stderr}"
    return done.stdout


@dataclass(frozen=True)
class Machine:
    """What a cluster could leave on a machine. `word` is part of every path and name of ours."""

    processes: frozenset[str]
    mounts: frozenset[str]
    links: frozenset[str]
    namespaces: frozenset[str]
    routes: frozenset[str]
    tables: frozenset[str]
    cgroups: frozenset[str]
    sysctls: frozenset[str]
    files: frozenset[str]

    def more_than(self, before: Machine) -> dict[str, list[str]]:
        """What is here that was not before; what another cluster has taken away meanwhile is its own business."""
        news = {part.name: sorted(getattr(self, part.name) - getattr(before, part.name)) for part in fields(self)}
        return {name: things for name, things in news.items() if things}


def machine(word: str) -> Machine:
    """The machine now. What other tests and programs have there is told apart by `word`, where it has no part in it."""
    commands = (_cmdline(folder) for folder in Path("/proc").iterdir() if folder.name.isdigit() and folder.name != str(os.getpid()))
    mounts = (line.split(" ")[4] for line in Path("/proc/self/mountinfo").read_text().splitlines() if word in line)
    groups = (str(folder) for pattern in ("sampan*", "*/sampan*") for folder in Path("/sys/fs/cgroup").glob(pattern))
    files = (str(path) for pattern in (f"/run/sampan/{word}*", "/run/sampan/network-*", "/var/lib/cni/results/sampan[0-9]*")
             for path in Path("/").glob(pattern[1:]))
    links = frozenset(line.split(":")[1].strip() for line in _ip("-o", "link") if "sampan" in line.split(":")[1])
    tables = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=True, env={"PATH": PATH}).stdout.splitlines()
    sysctls = [f"{name} {Path('/proc/sys/net/ipv4', name).read_text().strip()}" for name in ("ip_forward", "conf/all/route_localnet")]
    if links:  # another cluster is up: the machine's own settings come back after the last one
        tables, sysctls = [table for table in tables if "sampan" in table], []
    return Machine(
        processes=frozenset(command for command in commands if word in command),
        mounts=frozenset(mounts),
        links=links,
        namespaces=frozenset(_ip("netns", "list")),
        routes=frozenset(line.replace(" linkdown", "").strip() for line in _ip("route", "show", "table", "all") if "10.9" in line or "10.24" in line),
        tables=frozenset(tables),
        cgroups=frozenset(groups),
        sysctls=frozenset(sysctls),
        files=frozenset(files))


def _cmdline(folder: Path) -> str:
    try:
        return (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def _ip(*words: str) -> list[str]:
    return subprocess.run(["ip", *words], capture_output=True, text=True, check=True, env={"PATH": PATH}).stdout.splitlines()


class Cluster:
    """A real cluster that is up, and kubectl on it."""

    def __init__(self, home: Path, name: str) -> None:
        self.home, self.name, self.folder = home, name, home / name
        self.kubeconfig = self.folder / "admin.kubeconfig"
        self.environment = {**os.environ, "SAMPAN_HOME": str(home), "KUBECONFIG": str(self.kubeconfig), "HOME": str(home), "PATH": PATH}

    @property
    def config(self) -> ClusterConfig:
        found = load(self.folder)
        assert found is not None
        return found

    @property
    def node(self) -> str:
        return self.config.node_name(0)

    @property
    def socket(self) -> str:
        """containerd's."""
        return f"/run/sampan/{self.config.bridge}/containerd.sock"

    def process(self, name: str) -> int:
        """The pid of `control-plane`, the node's name or `supervisor`; 0 when it does not run."""
        found = processes.read(self.folder / "run" / f"{name}.pid")
        return found.pid if found is not None else 0

    def kubectl(self, *words: str, input: str | bytes | None = None, check: bool = True, seconds: float = 2 * PATIENCE_SECONDS) -> subprocess.CompletedProcess[str]:
        """Run kubectl to its end."""
        text = input.decode() if isinstance(input, bytes) else input
        done = subprocess.run(["kubectl", *words], input=text, capture_output=True, text=True, check=False,
                              env=self.environment, timeout=seconds, stdin=subprocess.DEVNULL if text is None else None)
        if check:
            assert done.returncode == 0, f"kubectl {' '.join(words)} → {done.returncode}: {done.stdout}{done.stderr}"
        return done

    def start_kubectl(self, *words: str) -> subprocess.Popen[str]:
        """Start kubectl with pipes; the caller ends it."""
        return subprocess.Popen(["kubectl", *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=self.environment)

    def get(self, *words: str) -> Any:
        """The object or list, decoded; None where it is not there."""
        done = self.kubectl("get", *words, "-o", "json", "--ignore-not-found")
        return json.loads(done.stdout) if done.stdout.strip() else None

    def apply(self, *manifests: dict[str, Any], namespace: str) -> None:
        """Apply objects."""
        self.kubectl("apply", "--validate=false", "-n", namespace, "-f", "-", input=json.dumps({"apiVersion": "v1", "kind": "List", "items": list(manifests)}))

    def tasks(self) -> dict[str, int]:
        """Container id → pid, from containerd itself."""
        done = subprocess.run(["ctr", "-a", self.socket, "-n", "k8s.io", "task", "list"], capture_output=True, text=True, check=True, env={"PATH": PATH})
        return {row[0]: int(row[1]) for line in done.stdout.splitlines()[1:] if (row := line.split())[2] == "RUNNING"}

    def reap(self, pod: str, namespace: str) -> None:
        """Delete a pod and wait until it is gone."""
        self.kubectl("delete", "pod", pod, "-n", namespace, "--wait=true")


@dataclass(frozen=True)
class Space:
    """A namespace of its own for one test."""

    cluster: Cluster
    name: str

    def kubectl(self, *words: str, **options: Any) -> subprocess.CompletedProcess[str]:
        return self.cluster.kubectl("-n", self.name, *words, **options)

    def apply(self, *manifests: dict[str, Any]) -> None:
        self.cluster.apply(*manifests, namespace=self.name)

    def get(self, *words: str) -> Any:
        return self.cluster.get("-n", self.name, *words)

    def run(self, *manifests: dict[str, Any]) -> list[dict[str, Any]]:
        """Apply pods and wait until they are ready; the pods."""
        self.apply(*manifests)
        names = [manifest["metadata"]["name"] for manifest in manifests if manifest["kind"] == "Pod"]
        return [self.ready(name) for name in names]

    def ready(self, name: str) -> dict[str, Any]:
        def answer() -> dict[str, Any] | None:
            pod = self.get("pod", name)
            conditions = {c["type"]: c["status"] for c in pod["status"].get("conditions", ())} if pod else {}
            return pod if conditions.get("Ready") == "True" else None
        try:
            return until_true(answer, f"pod {name} is ready")  # type: ignore[return-value]
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.kubectl('describe', 'pod', name, check=False).stdout[-3000:]}") from None

    def ended(self, name: str) -> dict[str, Any]:
        """A pod that has succeeded or failed."""
        return self.pod(name, lambda pod: pod["status"]["phase"] in ("Succeeded", "Failed"), "has ended")

    def pod(self, name: str, holds: Callable[[dict[str, Any]], Any], what: str) -> dict[str, Any]:
        """The pod once something holds of it."""
        seen: dict[str, Any] = {}

        def answer() -> dict[str, Any] | None:
            seen.update(self.get("pod", name) or {})
            return seen if seen and holds(seen) else None
        try:
            return until_true(answer, f"pod {name} {what}")  # type: ignore[return-value]
        except AssertionError as error:
            raise AssertionError(f"{error}\n{json.dumps(seen.get('status'), indent=1)[-3000:]}") from None

    def exec(self, pod: str, *words: str, check: bool = True) -> str:
        """What a command in the pod's first container prints."""
        return self.kubectl("exec", pod, "--", *words, check=check).stdout

    def sh(self, pod: str, script: str, check: bool = True) -> str:
        return self.exec(pod, "sh", "-c", script, check=check)

    def logs(self, pod: str, *words: str) -> str:
        return self.kubectl("logs", pod, *words).stdout


def container(name: str = "main", script: str = "sleep 3600", **fields: Any) -> dict[str, Any]:
    """A container that runs a script and ends at once when it is told to."""
    return {"name": name, "image": IMAGE, "imagePullPolicy": "IfNotPresent", "command": ["sh", "-c", f"trap 'exit 0' TERM; {script}"], **fields}


FOREVER = "while :; do sleep 3600 & wait $!; done"


def pod(name: str, *containers: dict[str, Any], labels: dict[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    """A pod; by default one container that runs until it is told to end."""
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": name, **(labels or {})}},
            "spec": {"terminationGracePeriodSeconds": 1, "containers": list(containers) or [container(script=FOREVER)], **spec}}


def web(name: str, page: str = "hello", port: int = 8080, labels: dict[str, str] | None = None, **fields: Any) -> dict[str, Any]:
    """A pod that serves a page."""
    serve = {"name": "web", "image": IMAGE, "imagePullPolicy": "IfNotPresent", "ports": [{"name": "http", "containerPort": port}],
             "command": ["sh", "-c", f"mkdir -p /tmp/www; echo {page} > /tmp/www/index.html; exec httpd -f -p {port} -h /tmp/www"],
             "readinessProbe": {"httpGet": {"path": "/", "port": "http"}, "periodSeconds": 1}, **fields}
    return pod(name, serve, labels=labels)


def service(name: str, app: str, port: int = 80, **spec: Any) -> dict[str, Any]:
    """A Service of the pods labelled `app`."""
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
            "spec": {"selector": {"app": app}, "ports": [{"name": "http", "port": port, "targetPort": 8080}], **spec}}
