"""Which controllers run, and as whom."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from sampan.aio.clock import VirtualClock
from sampan.aio.tasks import Tasks
from sampan.api import codec
from sampan.api.resources import DEPLOYMENTS, PODS
from sampan.controllers.all import ALL
from sampan.controllers.manager import Manager, select
from sampan.controllers.settings import ManagerSettings
from sampan.lib.errors import ConfigError
from sampan.testing.server import running_server


def test_selection_takes_upstreams_syntax() -> None:
    def names(*wanted: str) -> set[str]:
        return {entry.name for entry in select(ALL, wanted)}

    every = {entry.name for entry in ALL if entry.by_default}
    assert names("*") == every
    assert names("*", "tokencleaner") == every | {"token-cleaner-controller"}
    assert names("*,-node-lifecycle-controller") == every - {"node-lifecycle-controller"}
    assert names("*", "-nodelifecycle") == every - {"node-lifecycle-controller"}
    assert names("deployment-controller") == {"deployment-controller"}
    assert names("-deployment-controller") == set()
    with pytest.raises(ConfigError, match='"nonsense" is not in the list of known controllers'):
        names("*,nonsense")


def test_names_and_accounts_are_there_once() -> None:
    assert len({entry.name for entry in ALL}) == len(ALL)


def test_a_manager_runs_them_all_each_as_its_own_user() -> None:
    async def main() -> None:
        clock, users = VirtualClock(), set[str]()
        async with running_server(clock=clock) as server:
            def client_for(user: str) -> Any:
                users.add(user)
                return server.client

            manager = Manager(client_for, ManagerSettings(), clock=clock, identity=server.identity)
            async with Tasks() as tasks:
                tasks.start(manager.run(), "manager")
                body = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "default"}, "spec": {
                    "replicas": 2, "selector": {"matchLabels": {"app": "w"}}, "template": {
                        "metadata": {"labels": {"app": "w"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}}}
                await clock.turns(100)
                await server.client.create(DEPLOYMENTS, codec.convert(DEPLOYMENTS.wire, body))
                for _ in range(50):
                    await clock.turns(50)
                    if manager.idle() and len((await server.client.list(PODS)).items) == 2:
                        break
                assert len((await server.client.list(PODS)).items) == 2
        assert "system:serviceaccount:kube-system:deployment-controller" in users
        assert "system:kube-controller-manager" in users

    asyncio.run(main())
