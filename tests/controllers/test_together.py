"""All controllers at once, with a scheduler and a simulated node, on the in-process API server and virtual time.

What one controller does by itself is in its own folder; here is what they make together.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from objects import Objects
from sampan.aio.clock import VirtualClock
from sampan.aio.tasks import Tasks
from sampan.api.resourceinfo import Resource
from sampan.api.resources import (
    CLUSTER_ROLES,
    CONFIG_MAPS,
    CRON_JOBS,
    DAEMON_SETS,
    DEPLOYMENTS,
    ENDPOINT_SLICES,
    ENDPOINTS,
    JOBS,
    NAMESPACES,
    NODES,
    POD_DISRUPTION_BUDGETS,
    PODS,
    REPLICA_SETS,
    RESOURCE_QUOTAS,
    SERVICE_ACCOUNTS,
    SERVICES,
    STATEFUL_SETS,
)
from sampan.client.base import DeleteOptions
from sampan.client.inprocess import InProcessClient
from sampan.control.informer import Informers
from sampan.controllers.manager import Manager
from sampan.controllers.settings import ManagerSettings
from sampan.lib.clock import Identity
from sampan.node.agent import NodeAgent
from sampan.node.config import NodeSettings
from sampan.node.runtimes.programs import Program
from sampan.node.runtimes.simulated import SimulatedRuntime
from sampan.node.runtimes.simulated_images import SimulatedImages
from sampan.scheduler.scheduler import Scheduler
from sampan.testing import waiting
from sampan.testing.server import running_server
from sampan.testing.waiting import until

TEMPLATE = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "main", "image": "web"}], "terminationGracePeriodSeconds": 1}}
SELECTOR = {"matchLabels": {"app": "web"}}
SETTINGS = ManagerSettings(root_ca=b"-----BEGIN CERTIFICATE-----\n")


class Cluster(Objects):
    """What a test gets."""

    def __init__(self, client: InProcessClient, clock: VirtualClock) -> None:
        super().__init__(client)
        self.clock = clock

    async def all(self, resource: Resource[Any], labels: str = "") -> list[Any]:
        return (await self.client.list(resource, labels=labels)).items

    async def until(self, condition: Callable[[], Awaitable[Any]], what: str, *, step: float = 0.5, most_seconds: float = 600.0) -> None:
        """Move the clock on until the condition holds; fails after so much of the cluster's time, and of ours."""
        end = self.clock.monotonic() + most_seconds
        while self.clock.monotonic() < end:
            if await condition():
                return
            await self.clock.advance(step)
            await asyncio.sleep(0.001)  # threads that write volumes
        await until(condition, what)  # they take the time that they take


@asynccontextmanager
async def cluster(root: Path, programs: dict[str, Program] | None = None, nodes: int = 1,
                  settings: ManagerSettings = SETTINGS) -> AsyncIterator[Cluster]:
    clock, identity = VirtualClock(), Identity(random.Random(5))
    async with running_server(clock=clock) as server, Tasks() as tasks:
        client = server.client
        informers = Informers(client, clock=clock, identity=identity)
        manager = Manager(lambda _user: client, settings, clock=clock, identity=identity, informers=informers)
        scheduler = Scheduler(client, informers, clock=clock, event=lambda *_: None)
        tasks.start(informers.run(), "informers")
        tasks.start(manager.run(), "controllers")
        tasks.start(scheduler.run(), "scheduler")
        agents = []
        for number in range(nodes):
            node = NodeSettings(name=f"node-{number}", root=root / str(number), log_root=root / "logs", ips=("192.0.2.7",),
                                    manage_cgroups=False, manage_mounts=False)
            own = Informers(client, clock=clock, identity=identity)
            runtime = SimulatedRuntime(clock, identity, SimulatedImages(programs or {}), pod_cidr=f"10.244.{number}.0/24")
            agents.append(NodeAgent(client, runtime, node, own, clock=clock, identity=identity, event=lambda *_: None))
            tasks.start(own.run(), "informers")
            tasks.start(agents[-1].run(), "agent")
        made = Cluster(client, clock)

        async def ready() -> bool:
            has_account = await made.get(SERVICE_ACCOUNTS, "default") is not None
            untainted = all(not node.spec.taints for node in await made.all(NODES))
            return has_account and untainted and all(agent.registered.is_set() for agent in agents)

        await made.until(ready, "the cluster is not ready")
        yield made


def in_cluster(root: Path, check: Callable[[Cluster], Awaitable[None]], programs: dict[str, Program] | None = None, nodes: int = 1,
               settings: ManagerSettings = SETTINGS) -> None:
    async def run() -> None:
        async with cluster(root, programs, nodes, settings) as made:
            await check(made)

    waiting.run(run())


def test_a_deployment_is_served_and_its_deletion_takes_everything_along(tmp_path: Path) -> None:
    async def check(c: Cluster) -> None:
        await c.make(DEPLOYMENTS, "web", spec={"replicas": 3, "selector": SELECTOR, "template": TEMPLATE})
        await c.make(SERVICES, "web", spec={"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]})

        async def served() -> bool:
            slices = await c.all(ENDPOINT_SLICES, "kubernetes.io/service-name=web")
            classic = await c.get(ENDPOINTS, "web")
            return (sum(bool(e.conditions.ready) for s in slices for e in s.endpoints or ()) == 3 and classic is not None
                    and sum(len(subset.addresses) for subset in classic.subsets) == 3)

        await c.until(served, "three endpoints")
        await c.client.delete(DEPLOYMENTS, "web", "default", DeleteOptions(propagation="Foreground"))

        async def gone() -> bool:
            return not await c.all(PODS) and not await c.all(REPLICA_SETS) and await c.get(DEPLOYMENTS, "web") is None

        await c.until(gone, "the deployment and all that it owned are gone")

    in_cluster(tmp_path, check)


def test_every_namespace_has_an_account_and_the_authority_and_ends_with_all_in_it(tmp_path: Path) -> None:
    async def check(c: Cluster) -> None:
        await c.make(NAMESPACES, "shop")

        async def furnished() -> bool:
            return (await c.get(SERVICE_ACCOUNTS, "default", "shop") is not None
                    and await c.get(CONFIG_MAPS, "kube-root-ca.crt", "shop") is not None)

        await c.until(furnished, "the namespace is furnished")
        await c.make(DEPLOYMENTS, "web", namespace="shop", spec={"replicas": 2, "selector": SELECTOR, "template": TEMPLATE})

        async def running() -> bool:
            return sum(pod.status.phase == "Running" for pod in await c.all(PODS)) == 2

        await c.until(running, "two pods run")
        await c.client.delete(NAMESPACES, "shop")

        async def gone() -> bool:
            return await c.get(NAMESPACES, "shop") is None and not await c.all(PODS)

        await c.until(gone, "the namespace is gone")

    in_cluster(tmp_path, check)


def test_a_stateful_set_is_made_in_order_and_a_daemon_set_on_every_node(tmp_path: Path) -> None:
    async def check(c: Cluster) -> None:
        await c.make(SERVICES, "db", spec={"clusterIP": "None", "selector": {"app": "web"}, "ports": [{"port": 80}]})
        await c.make(STATEFUL_SETS, "db", spec={"replicas": 3, "serviceName": "db", "selector": SELECTOR, "template": TEMPLATE})

        async def complete() -> bool:
            return bool((await c.get(STATEFUL_SETS, "db")).status.readyReplicas == 3)

        await c.until(complete, "three ordered pods")
        pods = sorted(await c.all(PODS), key=lambda pod: pod.metadata.creationTimestamp)
        assert [pod.metadata.name for pod in pods] == ["db-0", "db-1", "db-2"]
        template = {**TEMPLATE, "metadata": {"labels": {"app": "log"}}}
        await c.make(DAEMON_SETS, "log", spec={"selector": {"matchLabels": {"app": "log"}}, "template": template})

        async def everywhere() -> bool:
            return bool((await c.get(DAEMON_SETS, "log")).status.numberReady == 3)

        await c.until(everywhere, "a pod on each node")
        assert {pod.spec.nodeName for pod in await c.all(PODS, "app=log")} == {"node-0", "node-1", "node-2"}

    in_cluster(tmp_path, check, nodes=3)


def test_hours_of_a_cron_job_pass_and_finished_jobs_are_cleaned_up(tmp_path: Path) -> None:
    async def check(c: Cluster) -> None:
        job = {"spec": {"ttlSecondsAfterFinished": 600, "template": {"spec": {
            "restartPolicy": "Never", "containers": [{"name": "main", "image": "work"}]}}}}
        await c.make(CRON_JOBS, "hourly", spec={"schedule": "0 * * * *", "jobTemplate": job, "successfulJobsHistoryLimit": 100})
        seen: set[str] = set()

        async def hours() -> bool:
            seen.update(one.metadata.name for one in await c.all(JOBS))
            return len(seen) >= 6

        await c.until(hours, "six jobs", step=120.0, most_seconds=8 * 3600)
        finished = [one for one in await c.all(JOBS) if one.status.succeeded]
        assert len(finished) <= 2

    in_cluster(tmp_path, check, {"work": Program(exit_after_seconds=5)})


def test_budgets_quotas_and_aggregated_roles_are_told(tmp_path: Path) -> None:
    async def check(c: Cluster) -> None:
        await c.make(RESOURCE_QUOTAS, "few", spec={"hard": {"pods": "5"}})
        await c.make(POD_DISRUPTION_BUDGETS, "web", spec={"minAvailable": 2, "selector": SELECTOR})
        await c.make(DEPLOYMENTS, "web", spec={"replicas": 3, "selector": SELECTOR, "template": TEMPLATE})
        await c.make(CLUSTER_ROLES, "part", metadata={"labels": {"to": "all"}}, rules=[{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}])
        await c.make(CLUSTER_ROLES, "all", aggregationRule={"clusterRoleSelectors": [{"matchLabels": {"to": "all"}}]})

        async def told() -> bool:
            budget, quota, role = await c.get(POD_DISRUPTION_BUDGETS, "web"), await c.get(RESOURCE_QUOTAS, "few"), await c.get(CLUSTER_ROLES, "all")
            return (budget.status.disruptionsAllowed == 1 and quota.status.used.get("pods") == "3" and bool(role.rules))

        await c.until(told, "budget, quota and role")

    in_cluster(tmp_path, check)


def test_pods_of_a_node_that_falls_silent_move_to_another(tmp_path: Path) -> None:
    async def check(c: Cluster) -> None:
        ghost = await c.make(NODES, "ghost", status={"allocatable": {"cpu": "64", "memory": "256Gi", "pods": "110"},
                                                      "capacity": {"cpu": "64", "memory": "256Gi", "pods": "110"},
                                                      "conditions": [{"type": "Ready", "status": "True"}]})
        pod = {**TEMPLATE["spec"], "nodeName": ghost.metadata.name,
               "tolerations": [{"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 30}
                               for key in ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")]}
        await c.make(PODS, "stray", spec=pod)

        async def told_to_go() -> bool:
            found = await c.get(PODS, "stray")
            return found is None or found.metadata.deletionTimestamp is not None

        await c.until(told_to_go, "the pod on the silent node is evicted", step=5.0)
        ready = next(one for one in (await c.get(NODES, "ghost")).status.conditions if one.type == "Ready")
        assert ready.status == "Unknown"

    in_cluster(tmp_path, check)
