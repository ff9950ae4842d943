"""How many pods a second the scheduler binds, by what the pods ask for.

    python bench/scheduler.py --nodes 5000 --pods 10000 basic            # API server and scheduler in one process
    python bench/scheduler.py --https --nodes 5000 --pods 10000 basic    # each in its own process, over HTTPS

Nodes and pods are made before the scheduler starts; the clock runs from the first binding seen to the last, so start-up is
not counted. The result is JSON: pods a second, CPU seconds of each process, and what the machine is.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import common
from sampan.aio.clock import SystemClock
from sampan.aio.tasks import Tasks
from sampan.api.errors import TooManyRequests
from sampan.api.resources import NAMESPACES, NODES, PODS, PRIORITY_CLASSES, REPLICA_SETS
from sampan.client import kubeconfig
from sampan.client.remote import RemoteClient
from sampan.control.events import EventRecorder
from sampan.control.informer import Informers
from sampan.lib.clock import Identity
from sampan.lib.collector import Collector
from sampan.scheduler.scheduler import Scheduler
from sampan.testing.server import running_server

SCENARIOS = ("basic", "owned", "node-affinity", "topology-spread", "anti-affinity", "affinity", "preemption")
HOST, ZONE = "kubernetes.io/hostname", "topology.kubernetes.io/zone"
PORT = 17443
GROUPS = 10  # of pods that belong together


def node(number: int) -> dict[str, Any]:
    name = f"node-{number}"
    amounts = {"cpu": "4", "memory": "32Gi", "pods": "110", "ephemeral-storage": "100Gi"}
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": {HOST: name, ZONE: f"zone-{number % 3}"}},
            "status": {"capacity": amounts, "allocatable": amounts, "conditions": [{"type": "Ready", "status": "True"}]}}


def pod(name: str, cpu: str = "10m", memory: str = "64Mi", *, labels: dict[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    container = {"name": "c", "image": "registry.example/app:1", "resources": {"requests": {"cpu": cpu, "memory": memory}}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels or {}}, "spec": {"containers": [container], **spec}}


def term(key: str, labels: dict[str, str]) -> dict[str, Any]:
    return {"requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": key, "labelSelector": {"matchLabels": labels}}]}


def pods_of(scenario: str, count: int, nodes: int) -> list[dict[str, Any]]:
    out = []
    for number in range(count):
        name = f"pod-{number}"
        # anti-affine pods come in groups that are as large as half of the nodes
        group = {"group": f"g{number // max(nodes // 2, 1)}"} if scenario == "anti-affinity" else {"group": f"g{number % GROUPS}"}
        if scenario == "node-affinity":
            terms = [{"matchExpressions": [{"key": ZONE, "operator": "In", "values": ["zone-0", "zone-1"]}]}]
            more = {"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}}
        elif scenario == "topology-spread":
            more = {"topologySpreadConstraints": [{"maxSkew": 5, "topologyKey": ZONE, "whenUnsatisfiable": "DoNotSchedule",
                                                   "labelSelector": {"matchLabels": group}}]}
        elif scenario == "anti-affinity":
            more = {"affinity": {"podAntiAffinity": term(HOST, group)}}
        elif scenario == "affinity":
            more = {"affinity": {"podAffinity": term(ZONE, group)}}
        elif scenario == "preemption":
            more = {"priorityClassName": "high"}
        else:
            more = {}
        made = pod(name, "3" if scenario == "preemption" else "10m", labels=group, **more)
        if scenario == "owned":  # by what a ReplicaSet selects pods are spread that ask for nothing of the kind
            owner = group["group"]
            made["metadata"]["ownerReferences"] = [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": owner, "uid": owner, "controller": True}]
        out.append(made)
    return out


def replica_sets() -> list[dict[str, Any]]:
    return [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": f"g{number}"},
             "spec": {"replicas": 0, "selector": {"matchLabels": {"group": f"g{number}"}}, "template": {
                 "metadata": {"labels": {"group": f"g{number}"}}, "spec": {"containers": [{"name": "c", "image": "registry.example/app:1"}]}}}}
            for number in range(GROUPS)]


def victims(nodes: int) -> list[dict[str, Any]]:
    return [pod(f"low-{number}-{index}", "900m", nodeName=f"node-{number}", terminationGracePeriodSeconds=0)
            for number in range(nodes) for index in range(4)]


async def load(client: Any, scenario: str, nodes: int, pods: int) -> None:
    gate = asyncio.Semaphore(32)

    async def create(resource: Any, obj: dict[str, Any], namespace: str = "") -> None:
        await patiently(lambda: client.create(resource, obj, namespace))

    async def untaint(name: str) -> None:
        await patiently(lambda: client.patch(NODES, name, "", {"spec": {"taints": None}}))

    async def patiently(call: Any) -> None:
        async with gate:
            for _ in range(100):
                try:
                    await call()
                    return
                except TooManyRequests:
                    await asyncio.sleep(0.2)
            sys.exit("the API server has too many requests for too long")

    async def all_of(work: list[Any]) -> None:
        for start in range(0, len(work), 2000):
            await asyncio.gather(*work[start:start + 2000])

    await create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "bench"}})
    await client.raw("POST", "/api/v1/namespaces/bench/serviceaccounts", body=b'{"apiVersion":"v1","kind":"ServiceAccount","metadata":{"name":"default"}}',
                     headers={"Content-Type": "application/json"})
    await create(PRIORITY_CLASSES, {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": "high"}, "value": 1000})
    await all_of([create(NODES, node(number)) for number in range(nodes)])
    await all_of([untaint(f"node-{number}") for number in range(nodes)])
    if scenario == "preemption":
        await all_of([create(PODS, one, "bench") for one in victims(nodes)])
    if scenario == "owned":
        await all_of([create(REPLICA_SETS, one, "bench") for one in replica_sets()])
    await all_of([create(PODS, one, "bench") for one in pods_of(scenario, pods, nodes)])


class Progress:
    def __init__(self, wanted: int) -> None:
        self.wanted, self.seen, self.first, self.last = wanted, 0, 0.0, 0.0
        self.done = asyncio.Event()

    def bound(self) -> None:
        self.last = time.perf_counter()
        self.first = self.first or self.last
        self.seen += 1
        if self.seen >= self.wanted:
            self.done.set()

    def result(self) -> dict[str, Any]:
        return {"bound": self.seen, "seconds": round(self.last - self.first, 2), "pods_per_second": round((self.seen - 1) / max(self.last - self.first, 1e-9))}


async def in_one_process(scenario: str, nodes: int, pods: int, most_seconds: float) -> dict[str, Any]:
    progress = Progress(pods)
    async with running_server() as server, Tasks() as tasks:
        await load(server.client, scenario, nodes, pods)
        clock, identity = SystemClock(), Identity()
        informers = Informers(server.client, clock=clock, identity=identity)
        recorder = EventRecorder(server.client, "default-scheduler", clock=clock, identity=identity)

        def changed(old: Any, new: Any) -> None:
            if new is not None and new.spec.nodeName and old is not None and not old.spec.nodeName:
                progress.bound()

        informers.of(PODS).on_change(changed)
        collector = Collector(clock)
        collector.settle()  # as `sampan server` and `sampan scheduler` do
        before = time.process_time()
        tasks.start(informers.run(), "informers")
        tasks.start(recorder.run(), "events")
        scheduler = Scheduler(server.client, informers, clock=clock, event=recorder.record)
        recorder.give_way(scheduler.busy)
        tasks.start(scheduler.run(), "scheduler")
        try:
            await asyncio.wait_for(progress.done.wait(), most_seconds)
        except TimeoutError:
            pass
        finally:
            collector.release()
        return {**progress.result(), "cpu_ms_per_pod": round((time.process_time() - before) * 1000 / max(progress.seen, 1), 2)}


async def over_https(scenario: str, nodes: int, pods: int, most_seconds: float) -> dict[str, Any]:
    progress = Progress(pods)
    sampan = [sys.executable, "-m", "sampan"]
    with tempfile.TemporaryDirectory() as folder:
        processes = [subprocess.Popen([*sampan, "server", "--data", folder, "--port", str(PORT)])]  # noqa: ASYNC220 - it starts at once
        try:
            config = Path(folder, "admin.kubeconfig")
            client = await connected(config)
            await load(client, scenario, nodes, pods)
            async with Tasks() as tasks:
                tasks.start(watch(client, progress), "watch")
                processes.append(subprocess.Popen([*sampan, "scheduler", "--kubeconfig", str(config), "--log-level", "error"]))  # noqa: ASYNC220
                before = [common.cpu_seconds(one.pid) for one in processes]
                try:
                    await asyncio.wait_for(progress.done.wait(), most_seconds)
                except TimeoutError:
                    pass
                used = [common.cpu_seconds(one.pid) - start for one, start in zip(processes, before, strict=True)]
            await client.close()
            peak = {name: common.peak_mib(one.pid) for name, one in zip(("server", "scheduler"), processes, strict=True)}
        finally:
            for one in processes:
                one.send_signal(signal.SIGTERM)
            for one in processes:
                one.wait(30)
    seen = max(progress.seen, 1)
    return {**progress.result(), "server_cpu_ms_per_pod": round(used[0] * 1000 / seen, 2), "scheduler_cpu_ms_per_pod": round(used[1] * 1000 / seen, 2),
            "peak_mib": peak}


async def connected(config: Path) -> RemoteClient:
    for _ in range(200):
        if config.exists():
            client = RemoteClient(kubeconfig.read(config))
            try:
                if (await client.raw("GET", "/readyz")).code == 200:
                    return client
            except Exception:  # noqa: BLE001 - it is still starting
                pass
            await client.close()
        await asyncio.sleep(0.1)
    sys.exit("the API server did not start")


async def watch(client: RemoteClient, progress: Progress) -> None:
    """Only pods that wait have labels: victims' events would cost the machine more than the scheduler's own watch."""
    seen: set[str] = set()
    since = (await client.list(PODS, "bench", labels="group", limit=1)).revision
    async for event in client.watch(PODS, "bench", since=since, labels="group"):
        meta = event.object.metadata
        if event.kind == "MODIFIED" and event.object.spec.nodeName and meta.name.startswith("pod-") and meta.name not in seen:
            seen.add(meta.name)
            progress.bound()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenarios", nargs="*", default=list(SCENARIOS), metavar="SCENARIO", help=", ".join(SCENARIOS))
    parser.add_argument("--https", action="store_true")
    parser.add_argument("--nodes", type=int, default=5000)
    parser.add_argument("--pods", type=int, default=10000)
    parser.add_argument("--seconds", type=float, default=120, help="give up after so long")
    options = parser.parse_args()
    if unknown := set(options.scenarios) - set(SCENARIOS):
        parser.error(f"no such scenario: {', '.join(sorted(unknown))}; there are {', '.join(SCENARIOS)}")
    run = over_https if options.https else in_one_process
    facts = {"nodes": options.nodes, "pods": options.pods, "https": options.https, "cores": os.cpu_count(), "python": platform.python_version()}
    results = {}
    for name in options.scenarios:
        pods = min(options.pods, options.nodes) if name == "preemption" else options.pods
        results[name] = asyncio.run(run(name, options.nodes, pods, options.seconds))
        print(json.dumps({name: results[name]}), file=sys.stderr, flush=True)
    print(json.dumps({"machine": facts, "results": results}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
