"""What writes cost: CPU of the server and its store for each, on TLS with RBAC and the durable store.

    python bench/writes.py [--only lease,pod_patch] [--requests 2000] [--rounds 5]
    python bench/writes.py --other ../older/src        beside a server of another checkout's sources

Pods live a life: made, bound, told to run by their node, patched, deleted gracefully, then at once. Leases and pods that are there are
patched, a Deployment's status is put, events are made. With `--other` both servers run side by side and are asked in turns (A B A B),
so that what else the machine does falls on both. Prints JSON: microseconds a request, the median of the rounds. Needs `wrk` (Debian package).
"""

from __future__ import annotations

import argparse
import json
import re
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import common

CONNECTIONS = 16
SLOTS = 64
DONE = "done\n"
SPARE = 64  # what one step may have begun and not done when it was ended: the next leaves it alone
NAMESPACE = "/api/v1/namespaces/load"
DEPLOYMENTS = "/apis/apps/v1/namespaces/load/deployments"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/load/leases"
JSON, MERGE, STRATEGIC = "application/json", "application/merge-patch+json", "application/strategic-merge-patch+json"
TIME = "2026-01-02T03:04:05Z"


def pod(name: str) -> dict[str, Any]:
    """About 3 KB once the server has filled in its defaults; the load tool's."""
    env = [{"name": f"SETTING_{number}", "value": f"value-{number}-of-a-plausible-length"} for number in range(12)]
    probe = {"httpGet": {"path": "/healthz", "port": 8080}, "periodSeconds": 10}
    container = {"name": "main", "image": "registry.example/web:1.2.3", "env": env, "ports": [{"name": "http", "containerPort": 8080}],
                 "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"memory": "128Mi"}},
                 "livenessProbe": probe, "readinessProbe": probe, "volumeMounts": [{"name": "data", "mountPath": "/data"}]}
    return {"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "labels": {"app": "load", "tier": "web", "track": "stable"},
                         "annotations": {"example.com/owner": "team-load", "example.com/note": "x" * 200}},
            "spec": {"containers": [container], "volumes": [{"name": "data", "emptyDir": {}}]}}


def running() -> dict[str, Any]:
    """What a node says about a pod that has begun to run."""
    kinds = ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled")
    conditions = [{"type": kind, "status": "True", "lastProbeTime": None, "lastTransitionTime": TIME, "observedGeneration": 1} for kind in kinds]
    status = {"name": "main", "image": "registry.example/web:1.2.3", "imageID": f"registry.example/web@sha256:{'0' * 64}", "containerID": f"containerd://{'1' * 64}",
              "lastState": {}, "ready": True, "restartCount": 0, "started": True, "state": {"running": {"startedAt": TIME}}}
    return {"status": {"$setElementOrder/conditions": [{"type": kind} for kind in kinds], "conditions": conditions[:4], "containerStatuses": [status],
                       "hostIP": "192.0.2.1", "hostIPs": [{"ip": "192.0.2.1"}], "phase": "Running", "podIP": "10.244.0.2", "podIPs": [{"ip": "10.244.0.2"}],
                       "startTime": TIME, "observedGeneration": 1}}


def deployment(name: str) -> dict[str, Any]:
    labels = {"app": name}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
            "spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": pod(name)["spec"]}}}


def event(name: str) -> dict[str, Any]:
    return {"metadata": {"name": name}, "involvedObject": {"kind": "Pod", "namespace": "load", "name": "one", "apiVersion": "v1"},
            "reason": "Started", "message": "Container started", "type": "Normal", "source": {"component": "kubelet", "host": "node-1"},
            "firstTimestamp": TIME, "lastTimestamp": TIME, "count": 1, "reportingComponent": "kubelet"}


@dataclass(frozen=True)
class Step:
    """A request: NAME is another one every time, SLOT is 0 to 63 in turn, TURN a running number."""

    method: str
    path: str
    body: Any = None
    kind: str = JSON
    spared: int = 0
    """How many steps before it work on the same names."""


BINDING = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": "NAME"}, "target": {"apiVersion": "v1", "kind": "Node", "name": "node-1"}}
STEPS = {
    "pod_post": Step("POST", f"{NAMESPACE}/pods", pod("NAME")),
    "pod_binding": Step("POST", f"{NAMESPACE}/pods/NAME/binding", BINDING, spared=1),
    "pod_status_patch": Step("PATCH", f"{NAMESPACE}/pods/NAME/status", running(), STRATEGIC, spared=2),
    "pod_delete_graceful": Step("DELETE", f"{NAMESPACE}/pods/NAME", spared=3),
    "pod_delete_now": Step("DELETE", f"{NAMESPACE}/pods/NAME?gracePeriodSeconds=0", spared=4),
    "pod_patch": Step("PATCH", f"{NAMESPACE}/pods/slot-SLOT", {"metadata": {"annotations": {"n": "NAME"}}}, MERGE),
    "lease_patch": Step("PATCH", f"{LEASES}/slot-SLOT", {"spec": {"holderIdentity": "NAME"}}, MERGE),
    "deployment_status_put": Step("PUT", f"{DEPLOYMENTS}/slot-SLOT/status", deployment("slot-SLOT") | {"status": {"replicas": 3, "readyReplicas": 2, "observedGeneration": "TURN"}}),
    "event_post": Step("POST", f"{NAMESPACE}/events", event("NAME")),
}


@dataclass(frozen=True)
class Server:
    """One that runs, and where its sources are."""

    pid: int
    port: int

    def call(self, method: str, path: str, body: Any) -> None:
        subprocess.run(["curl", "-sk", "--fail-with-body", "-X", method, "-H", f"Authorization: Bearer {common.TOKEN}", "-H", f"Content-Type: {JSON}",
                        "--data-binary", "@-", "-o", "/dev/null", f"https://127.0.0.1:{self.port}{path}"], input=json.dumps(body).encode(), check=True)

    def fill(self) -> None:
        self.call("POST", "/api/v1/namespaces", {"metadata": {"name": "load"}})
        self.call("POST", f"{NAMESPACE}/serviceaccounts", {"metadata": {"name": "default"}})
        for slot in range(SLOTS):
            name = f"slot-{slot}"
            self.call("POST", f"{NAMESPACE}/pods", pod(name))
            self.call("POST", LEASES, {"metadata": {"name": name}, "spec": {"holderIdentity": "node-1", "leaseDurationSeconds": 40}})
            self.call("POST", DEPLOYMENTS, deployment(name))

    def cost(self, step: Step, prefix: str, requests: int) -> float:
        """Microseconds of CPU for a request."""
        with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
            script.write(lua(step, prefix, requests - step.spared * SPARE))
            script.flush()
            before = common.cpu_seconds(self.pid)
            text = load(["wrk", "-t1", f"-c{CONNECTIONS}", "-d60s", "--timeout", "30s", "-s", script.name, f"https://127.0.0.1:{self.port}"])
            used = common.cpu_seconds(self.pid) - before
        done = re.search(r"(\d+) requests in", text)
        if done is None or "Non-2xx" in text:
            sys.exit(f"requests failed: {step} {text}")
        return used / int(done[1]) * 1e6


def load(command: list[str]) -> str:
    """Run wrk until its script says that it is done: by itself it goes on for all of its time."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = ""
        for line in process.stdout:
            said += line
            if line == DONE:
                process.send_signal(signal.SIGINT)
    return said


def lua(step: Step, prefix: str, requests: int) -> str:
    body = "" if step.body is None else json.dumps(step.body).replace('"TURN"', "TURN")
    return (f'wrk.headers["Authorization"]="Bearer {common.TOKEN}"; wrk.headers["Content-Type"]="{step.kind}"\n'
            f"local n, done, body = 0, 0, [==[{body}]==]\n"
            "local function filled(text, name) return (text:gsub('NAME', name):gsub('SLOT', n % 64):gsub('TURN', n)) end\n"
            f"request = function() n = n + 1; local name = '{prefix}-'..n\n"
            f"return wrk.format('{step.method}', filled('{step.path}', name), nil, filled(body, name)) end\n"
            f"response = function() done = done + 1; if done == {requests} then io.write('{DONE.strip()}\\n'); io.flush(); wrk.thread:stop() end end\n")


def start(folder: Path, source: str) -> tuple[subprocess.Popen[bytes], Server]:
    folder.mkdir()
    port = common.free_port()
    command = ["env", *([f"PYTHONPATH={source}"] if source else []), sys.executable, "-m", "sampan", "server", "--data", str(folder / "data"),
               "--port", str(port), "--token-file", str(common.token_file(folder))]
    process, _ = common.start(command, port)
    server = Server(process.pid, port)
    server.fill()
    return process, server


def rounds(servers: dict[str, Server], options: argparse.Namespace) -> Iterator[tuple[str, str, float]]:
    """(server, step, cost) of every round but the first."""
    wanted = set(options.only.split(",")) - {""}
    if unknown := wanted - set(STEPS):
        sys.exit(f"no such step: {', '.join(sorted(unknown))}; there are {', '.join(STEPS)}")
    # what a wanted step works on, others make before it
    last = max((step.spared for name, step in STEPS.items() if name in wanted and step.spared), default=0)
    for number in range(options.rounds + 1):
        for name, step in STEPS.items():
            needed = name == "pod_post" or step.spared
            if wanted and name not in wanted and not (needed and step.spared < last):
                continue
            for label, server in servers.items():
                cost = server.cost(step, f"p{number}", options.requests)
                if number and (not wanted or name in wanted):
                    yield label, name, cost


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="")
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--other", default="")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sampan-bench-") as name:
        processes, servers = [], {}
        try:
            for label, source in [("this", ""), *([("other", options.other)] if options.other else [])]:
                process, server = start(Path(name, label), source)
                processes.append(process)
                servers[label] = server
            found: dict[str, dict[str, list[float]]] = {}
            for label, step, cost in rounds(servers, options):
                found.setdefault(step, {}).setdefault(label, []).append(cost)
        finally:
            for process in processes:
                common.stop(process)
    print(json.dumps({step: {label: round(statistics.median(costs)) for label, costs in by.items()} for step, by in found.items()}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
