"""A large fleet: the API server in one process, controllers, scheduler and nodes in another."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sampan.api import codec
from sampan.api.resources import CONFIG_MAPS, DEPLOYMENTS, LEASES, PODS
from sampan.client import kubeconfig
from sampan.client.remote import RemoteClient
from sampan.cluster import config, fleetaccess, processes
from sampan.cluster.allinone import UpOptions, configure
from sampan.cluster.config import APART_NODES, save
from sampan.testing import waiting

NAME = "many"
FROM_CONFIG = {"containers": [{"name": "c", "image": "x", "envFrom": [{"configMapRef": {"name": "settings"}}]}]}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of a fleet that is up."""
    monkeypatch.setenv("SAMPAN_HOME", str(tmp_path))
    monkeypatch.setattr(config, "RUN", tmp_path / "run")
    made, _ = configure(UpOptions(name=NAME, simulated=True, nodes=APART_NODES))
    save(tmp_path / NAME, replace(made, index=5))  # the port of its nodes is nobody else's
    try:
        _sampan("up", "--name", NAME)
        yield tmp_path / NAME
    finally:
        _sampan("down", "--name", NAME, "--purge")


def _sampan(*words: str) -> None:
    done = subprocess.run([sys.executable, "-m", "sampan", *words], capture_output=True, text=True, check=False, env=dict(os.environ))
    assert done.returncode == 0, done.stderr


def test_its_nodes_run_pods_each_in_its_own_name_also_after_the_process_was_killed(folder: Path) -> None:
    async def check() -> None:
        client = RemoteClient(kubeconfig.read(folder / "admin.kubeconfig"))
        try:
            # when a Deployment's pods need what a node may only read for its own pods
            await client.create(CONFIG_MAPS, codec.convert(CONFIG_MAPS.wire, {"metadata": {"name": "settings"}, "data": {"A": "b"}}), "default")
            template = {"metadata": {"labels": {"app": "web"}}, "spec": FROM_CONFIG}
            spec = {"replicas": 20, "selector": {"matchLabels": {"app": "web"}}, "template": template}
            await client.create(DEPLOYMENTS, codec.convert(DEPLOYMENTS.wire, {"metadata": {"name": "web"}, "spec": spec}), "default")
            await _ready(client, 20)
            # then they run on their nodes, which keep leases of their own
            pods = (await client.list(PODS, "default")).items
            leases = {lease.metadata.name: lease.spec.holderIdentity for lease in (await client.list(LEASES, "kube-node-lease")).items}
            assert len(leases) == APART_NODES
            assert all(leases[pod.spec.nodeName] == pod.spec.nodeName for pod in pods)
            # and no node may do what another one's business is: the API server knows them apart
            other = next(name for name in leases if name != pods[0].spec.nodeName)
            assert await _as_node(folder, other, pods[0].metadata.name) == 403
            # when the process is killed, and another begins
            before = processes.read(folder / "run" / "fleet.pid")
            assert before is not None
            os.kill(before.pid, signal.SIGKILL)
            await client.patch(DEPLOYMENTS, "web", "default", {"spec": {"replicas": 30}})
            # then
            await _ready(client, 30)
        finally:
            await client.close()
            await asyncio.to_thread(_sampan, "down", "--name", NAME)

    waiting.run(check())


async def _as_node(folder: Path, node: str, pod: str) -> int:
    """What the process of the fleet is answered when it writes a pod's status in the name of a node."""
    front = RemoteClient(kubeconfig.read(fleetaccess.path(folder)))
    try:
        answer = await front.naming(f"system:node:{node}", "system:nodes").raw(
            "PATCH", f"/api/v1/namespaces/default/pods/{pod}/status", body=b'{"status":{"reason":"x"}}',
            headers={"Content-Type": "application/merge-patch+json"})
        return answer.code
    finally:
        await front.close()


async def _ready(client: RemoteClient, count: int) -> None:
    async def all_run() -> Any:
        return (await client.get(DEPLOYMENTS, "web", "default")).status.readyReplicas == count

    await waiting.until(all_run, f"{count} pods run")
