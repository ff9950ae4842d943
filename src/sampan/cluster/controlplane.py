"""The control plane as one process: the API server, and beside it the controllers and the scheduler in process.

What `sampan up` runs. The in-process clients are trusted to be the users that they say; everybody else comes over
HTTPS and is authenticated and authorized.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path

from sampan.aio.tasks import Tasks
from sampan.apiserver.request import User
from sampan.client.base import Client
from sampan.client.inprocess import InProcessClient
from sampan.cluster import addons, server
from sampan.cluster.agent import own_address
from sampan.cluster.config import ClusterConfig
from sampan.cluster.controllers import ALL
from sampan.cluster.provision import NodeIdentity, provision
from sampan.cluster.security import SecurityFlags
from sampan.control.events import EventRecorder
from sampan.control.informer import Informers
from sampan.controllers.manager import Manager
from sampan.controllers.settings import ManagerSettings
from sampan.scheduler.scheduler import Scheduler

SCHEDULER_USER = "system:kube-scheduler"
ADMIN = User("sampan:control-plane", groups=("system:masters", "system:authenticated"))


@dataclass(frozen=True)
class ControlPlaneConfig:
    """A cluster's folder and what it says."""

    folder: Path
    cluster: ClusterConfig
    bind: str = "0.0.0.0"  # nodes and pods reach it at the machine's address
    log_level: str = "warning"
    security: SecurityFlags = SecurityFlags()


def user(name: str) -> User:
    """A component's user, with the groups that its credentials would give it."""
    if name.startswith("system:serviceaccount:"):
        namespace = name.split(":")[2]
        return User(name, groups=("system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated"))
    return User(name, groups=("system:authenticated",))


def serve(config: ControlPlaneConfig) -> int:
    """Run until a signal; the exit code."""
    cluster = config.cluster
    wanted = server.ServerConfig(data=config.folder, port=cluster.port, bind=config.bind, advertise=_address(cluster),
                                 service_cidr=cluster.service_range, log_level=config.log_level, security=config.security)

    async def beside(parts: server.Parts) -> None:
        await _beside(config, parts)

    return server.serve(wanted, beside)


async def _beside(config: ControlPlaneConfig, parts: server.Parts) -> None:
    def client_for(name: str) -> Client:
        return InProcessClient(parts.api.app, user(name))

    _provision(config, parts)
    await addons.ensure(InProcessClient(parts.api.app, ADMIN), config.cluster.dns_ip)
    async with Tasks() as tasks:
        _start(parts, tasks, client_for)
        await tasks.wait()


def _start(parts: server.Parts, tasks: Tasks, client_for: Callable[[str], Client]) -> None:
    clock, identity = parts.clock, parts.identity
    informers = Informers(client_for("system:kube-controller-manager"), clock=clock, identity=identity)
    manager = Manager(client_for, manager_settings(parts), clock=clock, identity=identity, entries=ALL, informers=informers)
    recorder = EventRecorder(client_for(SCHEDULER_USER), "default-scheduler", clock=clock, identity=identity)
    scheduler = Scheduler(client_for(SCHEDULER_USER), informers, clock=clock, event=recorder.record)
    tasks.start(informers.run(), "informers")
    tasks.start(manager.run(), "controllers")
    tasks.start(recorder.run(), "scheduler events")
    tasks.start(scheduler.run(), "scheduler")


def manager_settings(parts: server.Parts) -> ManagerSettings:
    """The controllers' settings, with the keys that they sign with."""
    ca = parts.keys.ca.pair()
    return ManagerSettings(root_ca=ca.certificate, service_account_private_key=parts.keys.signing_key.read_bytes(),
                           cluster_signing_cert=ca.certificate, cluster_signing_key=ca.key)


def _address(cluster: ClusterConfig) -> str:
    """Where nodes and pods reach this machine."""
    return own_address("127.0.0.1" if cluster.simulated else str(ip_network(cluster.node_range(0))[1]))


def _provision(config: ControlPlaneConfig, parts: server.Parts) -> None:
    cluster, ip = config.cluster, _address(config.cluster)
    for index in range(cluster.nodes):
        name = cluster.node_name(index)
        provision(config.folder / "nodes" / name, parts.keys.ca, f"https://127.0.0.1:{cluster.port}", NodeIdentity(name, (ip,)), parts.clock)
