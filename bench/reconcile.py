"""What one change costs the controllers while ever more unrelated objects exist.

    python bench/reconcile.py [--unrelated 1000,10000,100000]

API server (memory store) and all controllers in one process. Unrelated are pods of ReplicaSets in other namespaces, a hundred
in each, bound to nodes, with a Service for each hundred. Then a Deployment with a Service, a Job and a StatefulSet are changed
again and again. Prints CPU milliseconds of one change until everything is at rest, server and informers included, and how
long the controllers took to start.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

from sampan.aio.tasks import Tasks
from sampan.api import codec
from sampan.api.resources import DEPLOYMENTS, JOBS, NAMESPACES, NODES, PODS, REPLICA_SETS, SERVICES, STATEFUL_SETS
from sampan.cluster.controllers import ALL
from sampan.control.informer import Informers
from sampan.controllers.manager import Manager
from sampan.controllers.settings import ManagerSettings
from sampan.testing.server import RunningServer, running_server

TURNS = 20
IN_NAMESPACE = 100


def made(resource: Any, value: dict[str, Any]) -> Any:
    return codec.convert(resource.wire, value)


def template(app: str) -> dict[str, Any]:
    return {"metadata": {"labels": {"app": app}}, "spec": {"containers": [{"name": "main", "image": "registry.example/web:1"}]}}


def workload(name: str, replicas: int, **more: Any) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": template(name), **more}}


def service(name: str) -> Any:
    return made(SERVICES, {"metadata": {"name": name}, "spec": {"selector": {"app": name}, "ports": [{"port": 80}]}})


async def fill(server: RunningServer, pods: int) -> None:
    client = server.client
    for number in range(20):
        await client.create(NODES, made(NODES, {"metadata": {"name": f"node-{number}"}}))
    for start in range(0, pods, IN_NAMESPACE):
        namespace = f"other-{start // IN_NAMESPACE}"
        await client.create(NAMESPACES, made(NAMESPACES, {"metadata": {"name": namespace}}))
        sets = await client.create(REPLICA_SETS, made(REPLICA_SETS, workload("web", IN_NAMESPACE)), namespace)
        await client.create(SERVICES, service("web"), namespace)
        owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": sets.metadata.uid, "controller": True, "blockOwnerDeletion": True}
        for index in range(IN_NAMESPACE):
            pod = {"metadata": {"name": f"web-{index}", "labels": {"app": "web"}, "ownerReferences": [owner]},
                   "spec": {"nodeName": f"node-{index % 20}", **template("web")["spec"]}}
            await client.create(PODS, made(PODS, pod), namespace)


class World:
    """The manager at work, and when it rests."""

    def __init__(self, server: RunningServer) -> None:
        self.server, self.client = server, server.client
        self.informers = Informers(server.client, clock=server.clock, identity=server.identity)
        settings = ManagerSettings(controllers=("*", "-node-lifecycle-controller"))
        self.manager = Manager(lambda _: server.client, settings, clock=server.clock, identity=server.identity, entries=ALL, informers=self.informers)

    async def rest(self) -> None:
        quiet = 0
        revision = 0
        while quiet < 5:
            await asyncio.sleep(0.005)
            now = self.server.store.revision
            quiet = quiet + 1 if now == revision else 0
            revision = now

    async def manager_began(self) -> None:
        """Until the controllers have made the pods of what was asked for, and rest."""
        stream = self.client.watch(PODS, "default", labels="app=mine", timeout_seconds=120)
        seen: set[str] = set()
        async for event in stream:
            seen.add(event.object.metadata.name)
            if len(seen) == 4:
                break
        await stream.aclose()
        used, before = 1.0, time.process_time()
        while used > 0.05:  # all that is there is looked at once, whether it leads to writes or not
            await asyncio.sleep(1)
            used, before = time.process_time() - before, time.process_time()

    async def cost(self, change: Callable[[int], Awaitable[object]]) -> float:
        await change(0)
        await self.rest()
        before = time.process_time()
        for turn in range(1, TURNS + 1):
            await change(turn)
            await self.rest()
        return round((time.process_time() - before) / TURNS * 1e3, 2)


async def measure(unrelated: int) -> dict[str, float]:
    async with running_server() as server:
        await fill(server, unrelated)
        gc.collect()
        gc.freeze()
        world = World(server)
        client = server.client
        async with Tasks() as tasks:
            begin = time.process_time()
            tasks.start(world.informers.run(), "informers")
            tasks.start(world.manager.run(), "controllers")
            await client.create(DEPLOYMENTS, made(DEPLOYMENTS, workload("mine", 3)), "default")
            await client.create(SERVICES, service("mine"), "default")
            await client.create(STATEFUL_SETS, made(STATEFUL_SETS, workload("mine", 1, serviceName="mine")), "default")
            await world.manager_began()
            started = time.process_time() - begin
            gc.collect()
            gc.freeze()

            async def scale(turn: int) -> None:
                await client.patch(DEPLOYMENTS, "mine", "default", {"spec": {"replicas": 3 + turn % 2}})

            async def annotate(turn: int) -> None:
                await client.patch(SERVICES, "mine", "default", {"metadata": {"labels": {"turn": str(turn)}}})

            async def job(turn: int) -> None:
                pod = {"spec": {**template("job")["spec"], "restartPolicy": "Never"}}
                await client.create(JOBS, made(JOBS, {"metadata": {"name": f"job-{turn}"}, "spec": {"template": pod}}), "default")

            async def namespace(turn: int) -> None:
                await client.create(NAMESPACES, made(NAMESPACES, {"metadata": {"name": f"new-{turn}"}}))

            costs = {"deployment_scaled": await world.cost(scale), "service_changed": await world.cost(annotate),
                     "job_made": await world.cost(job), "namespace_made": await world.cost(namespace)}
            await tasks.stop()
    return {"start_seconds": round(started, 2), **costs}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--unrelated", default="1000,10000,100000")
    options = parser.parse_args()
    results = {}
    for count in map(int, options.unrelated.split(",")):
        results[count] = asyncio.run(measure(count))
        print(json.dumps({"unrelated_pods": count, **results[count]}), flush=True)
        gc.unfreeze()
    return 0


if __name__ == "__main__":
    sys.exit(main())
