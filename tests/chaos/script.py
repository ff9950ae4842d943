"""What people do to the cluster while the weather lasts. Every step leads to one end, however the steps before it went.

A step that needs what a controller makes of the one before it waits for that; nothing else waits.
"""

from __future__ import annotations

import asyncio
from typing import Any

from chaos.world import CPU, NODES, World
from sampan.api import codec
from sampan.api.errors import ApiError, NotFound, TooManyRequests
from sampan.api.policy.v1 import Eviction
from sampan.api.resources import (
    CONFIG_MAPS,
    CRON_JOBS,
    DAEMON_SETS,
    DEPLOYMENTS,
    HORIZONTAL_POD_AUTOSCALERS,
    JOBS,
    NAMESPACES,
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    POD_DISRUPTION_BUDGETS,
    PODS,
    PRIORITY_CLASSES,
    REPLICA_SETS,
    RESOURCE_QUOTAS,
    SERVICE_ACCOUNTS,
    SERVICES,
    STATEFUL_SETS,
)
from sampan.api.resources import NODES as NODE
from sampan.client.base import DeleteOptions

SOON = [{"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 20}
        for key in ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")]
LOST = f"node-{NODES - 1}"


def template(app: str, image: str = "app", **spec: Any) -> dict[str, Any]:
    container = {"name": "c", "image": image, "resources": {"requests": {"cpu": "50m", "memory": "1Mi"}}, **spec.pop("container", {})}
    return {"metadata": {"labels": {"app": app}}, "spec": {
        "containers": [container], "terminationGracePeriodSeconds": 1, "tolerations": SOON} | spec}


def of(app: str, replicas: int, **more: Any) -> dict[str, Any]:
    return {"replicas": replicas, "selector": {"matchLabels": {"app": app}}, "template": template(app), **more}


async def script(world: World) -> None:
    """Everything side by side; ends when the last step has been taken."""
    async def ready() -> bool:
        nodes = await world.all(NODE)
        return len(nodes) == NODES and not any(node.spec.taints for node in nodes) and await world.get(SERVICE_ACCOUNTS, "default") is not None

    await world.until(ready, "nodes are ready")
    await first(world)
    await world.clock.advance(40)
    await second(world)
    await world.clock.advance(40)
    await rolled(world)
    await evicted(world)
    await nodes_go(world)
    await deleted(world)
    await world.clock.advance(300)


async def first(world: World) -> None:
    """What there is to begin with."""
    await world.make(PRIORITY_CLASSES, "high", value=1000)
    for name in ("doomed", "small"):
        await world.make(NAMESPACES, name)
    await world.make(RESOURCE_QUOTAS, "few", namespace="small", spec={"hard": {"pods": "3"}})
    await world.make(REPLICA_SETS, "many", namespace="small", spec=of("many", 5))
    await world.make(DEPLOYMENTS, "gone", namespace="doomed", spec=of("gone", 2))
    await world.make(CONFIG_MAPS, "gone", namespace="doomed", data={"a": "b"})
    await world.make(DEPLOYMENTS, "web", spec=of("web", 4))
    await world.make(SERVICES, "web", spec={"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]})
    for number in range(4):
        await world.make(PERSISTENT_VOLUMES, f"v{number}", spec={
            "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "storageClassName": "manual",
            "persistentVolumeReclaimPolicy": "Retain", "hostPath": {"path": f"/data/{number}"}})
    await world.make(SERVICES, "db", spec={"clusterIP": "None", "selector": {"app": "db"}, "ports": [{"port": 80}]})
    claim = {"metadata": {"name": "data"}, "spec": {
        "storageClassName": "manual", "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}
    pod = template("db", container={"volumeMounts": [{"name": "data", "mountPath": "/data"}]})
    await world.make(STATEFUL_SETS, "db", spec={**of("db", 3), "serviceName": "db", "template": pod, "volumeClaimTemplates": [claim]})
    await world.make(DAEMON_SETS, "log", spec={"selector": {"matchLabels": {"app": "log"}}, "template": template("log")})
    await jobs(world)
    await world.make(DEPLOYMENTS, "guarded", spec=of("guarded", 3))
    await world.make(POD_DISRUPTION_BUDGETS, "guarded", spec={"minAvailable": 2, "selector": {"matchLabels": {"app": "guarded"}}})
    for name in ("foreground", "background", "orphan"):
        await world.make(DEPLOYMENTS, name, spec=of(name, 2))
    await world.make(DEPLOYMENTS, "hot", spec=of("hot", 1))
    world.load_milli = 400
    await world.make(HORIZONTAL_POD_AUTOSCALERS, "hot", spec={
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "hot"}, "minReplicas": 1, "maxReplicas": 6,
        "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "AverageValue", "averageValue": "100m"}}}]})
    await world.make(PODS, "weak", spec=_big("low"))


def _big(app: str, **more: Any) -> dict[str, Any]:
    container = {"resources": {"requests": {"cpu": f"{CPU * 6 // 10}m"}}}
    spec: dict[str, Any] = template(app, container=container, nodeSelector={"kubernetes.io/hostname": "node-0"},
                                    tolerations=[{"operator": "Exists", "effect": "NoExecute"}], **more)["spec"]
    return spec


async def jobs(world: World) -> None:
    """One by indices, one by count, one that fails, and one that comes again."""
    work = {"template": template("indexed", "work", restartPolicy="Never"), "completions": 4, "parallelism": 2, "completionMode": "Indexed"}
    await world.make(JOBS, "indexed", spec=work)
    await world.make(JOBS, "counted", spec={"template": template("counted", "work", restartPolicy="Never"), "completions": 3, "parallelism": 3})
    await world.make(JOBS, "failing", spec={"template": template("failing", "fail", restartPolicy="Never"), "backoffLimit": 1})
    spec = {"template": template("tick", "work", restartPolicy="Never")}
    await world.make(CRON_JOBS, "tick", spec={"schedule": "*/2 * * * *", "successfulJobsHistoryLimit": 2, "concurrencyPolicy": "Forbid",
                                              "jobTemplate": {"spec": spec}})


async def second(world: World) -> None:
    """Scaling, a roll-out, and a pod that needs another's place."""
    await world.patch(DEPLOYMENTS, "web", {"spec": {"template": {"metadata": {"labels": {"version": "2"}}}}})
    await world.patch(STATEFUL_SETS, "db", {"spec": {"replicas": 1}})
    await world.patch(DAEMON_SETS, "log", {"spec": {"template": {"metadata": {"labels": {"version": "2"}}}}})

    async def placed() -> bool:
        pod = await world.get(PODS, "weak")
        return bool(pod.status.phase == "Running")

    await world.until(placed, "the weak pod runs")
    await world.make(PODS, "strong", spec=_big("high", priorityClassName="high"))


async def rolled(world: World) -> None:
    """Back to where it was, and larger."""
    async def rolled_out() -> bool:
        return len(await world.all(REPLICA_SETS, "app=web")) == 2

    await world.until(rolled_out, "a second replica set")
    await world.patch(DEPLOYMENTS, "web", {"spec": {"replicas": 6, "template": {"metadata": {"labels": {"version": None}}}}})

    async def smaller() -> bool:
        return await world.get(PODS, "db-1") is None

    await world.until(smaller, "one db is left")
    await world.patch(STATEFUL_SETS, "db", {"spec": {"replicas": 3}})

    async def ticked() -> bool:
        return sum(bool(job.status.succeeded) for job in await world.all(JOBS) if job.metadata.name.startswith("tick-")) == 2

    await world.until(ticked, "two runs of the cron job")
    await world.patch(CRON_JOBS, "tick", {"spec": {"suspend": True}})
    await world.patch(CONFIG_MAPS, "kube-root-ca.crt", {"data": {"ca.crt": "spoiled"}}, "small")


async def evicted(world: World) -> None:
    """Each guarded pod that is there now, as the budget allows."""
    for pod in await world.all(PODS, "app=guarded"):
        async def let_go(name: str = pod.metadata.name) -> bool:
            eviction = codec.convert(Eviction, {"metadata": {"name": name, "namespace": "default"}})
            try:
                await world.client.create(PODS, eviction, "default", name=name, subresource="eviction")
            except TooManyRequests:
                return False
            except NotFound:
                return True
            return True

        await world.until(let_go, f"{pod.metadata.name} is evicted", step=2.0)


async def nodes_go(world: World) -> None:
    """One node is tainted for a while, another falls silent and is taken away."""
    taint = {"key": "broken", "value": "yes", "effect": "NoExecute"}
    await world.patch(NODE, "node-1", {"spec": {"taints": [taint]}})

    async def empty() -> bool:
        return not [pod for pod in await world.all(PODS) if pod.spec.nodeName == "node-1" and pod.status.phase == "Running"]

    await world.until(empty, "nothing runs on the tainted node")
    world.processes[LOST].end()

    async def unreachable() -> bool:
        return any(taint.effect == "NoExecute" for taint in (await world.get(NODE, LOST)).spec.taints)

    await world.until(unreachable, "the silent node is tainted")
    await _untaint(world)
    await world.clock.advance(60)
    await world.client.delete(NODE, LOST)


async def _untaint(world: World) -> None:
    while True:
        node = codec.clone(await world.get(NODE, "node-1"))
        node.spec.taints = [taint for taint in node.spec.taints if taint.key != "broken"]
        try:
            await world.client.update(NODE, node)
            return
        except ApiError:
            await asyncio.sleep(0)


async def deleted(world: World) -> None:
    """What goes with its owner, and what stays; a namespace with all in it; a claim that is in use."""
    await world.client.delete(NAMESPACES, "doomed")
    for name in ("foreground", "background", "orphan"):
        await world.client.delete(DEPLOYMENTS, name, "default", DeleteOptions(propagation=name.capitalize()))  # type: ignore[arg-type]
    await world.client.delete(PERSISTENT_VOLUME_CLAIMS, "data-db-2", "default")
    await world.clock.advance(10)
    await world.patch(STATEFUL_SETS, "db", {"spec": {"replicas": 2}})
    world.load_milli = 200


async def afterwards(world: World) -> None:
    """In good weather again. What a quota counts from late caches may let a pod too many in, upstream too: from then on it counts right."""
    await world.patch(REPLICA_SETS, "many", {"spec": {"replicas": 0}}, "small")

    async def none_left() -> bool:
        return not await world.all(PODS, "app=many")

    await world.until(none_left, "no pod is left in the namespace with a quota")
    await world.clock.advance(10)
    await world.patch(REPLICA_SETS, "many", {"spec": {"replicas": 5}}, "small")
