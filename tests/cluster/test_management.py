"""Controllers and scheduler of one process: each its own user, all on the same informers."""

from __future__ import annotations

from sampan.aio.clock import VirtualClock
from sampan.aio.tasks import Tasks
from sampan.api import codec
from sampan.api.resources import DEPLOYMENTS, NODES, PODS
from sampan.apiserver.request import User
from sampan.client.base import Client
from sampan.cluster import management
from sampan.controllers.settings import ManagerSettings
from sampan.testing import waiting
from sampan.testing.server import RunningServer, running_server


def test_a_deployments_pods_are_made_and_bound() -> None:
    users = waiting.run(_bound(scheduling=True))
    assert {"system:kube-controller-manager", "system:kube-scheduler", "system:serviceaccount:kube-system:deployment-controller"} <= users


def test_somebody_else_may_schedule() -> None:
    users = waiting.run(_bound(scheduling=False))
    assert "system:kube-scheduler" not in users


async def _bound(*, scheduling: bool) -> set[str]:
    """Who asked, once all pods are bound, or are there and wait."""
    clock, users = VirtualClock(), set[str]()
    async with running_server(clock=clock) as server, Tasks() as tasks:
        def client_for(user: str) -> Client:
            users.add(user)
            return server.client_as(User(user, groups=("system:masters",)))

        management.start(client_for, ManagerSettings(), tasks, clock=clock, identity=server.identity, scheduling=scheduling)
        await _make(server)
        while len(pods := (await server.client.list(PODS)).items) < 2 or (scheduling and not all(pod.spec.nodeName for pod in pods)):
            await clock.advance(0.1)
        assert scheduling or not any(pod.spec.nodeName for pod in pods)
        await tasks.stop()
    return users


async def _make(server: RunningServer) -> None:
    amounts = {"cpu": "4", "memory": "8Gi", "pods": "10"}
    node = {"metadata": {"name": "n"}, "status": {"capacity": amounts, "allocatable": amounts, "conditions": [{"type": "Ready", "status": "True"}]}}
    await server.client.create(NODES, codec.convert(NODES.wire, node))
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "x"}]}}
    spec = {"replicas": 2, "selector": {"matchLabels": {"a": "b"}}, "template": template}
    await server.client.create(DEPLOYMENTS, codec.convert(DEPLOYMENTS.wire, {"metadata": {"name": "d"}, "spec": spec}), "default")
