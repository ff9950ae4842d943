"""The control plane as one process: the API server, and beside it the controllers and the scheduler in process.

What `sampan up` runs. The in-process clients are trusted to be the users that they say; everybody else comes over
HTTPS and is authenticated and authorized.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, replace
from datetime import datetime
from ipaddress import ip_network
from pathlib import Path

from sampan.aio.tasks import Tasks
from sampan.apiserver.request import User
from sampan.client.base import Client
from sampan.client.inprocess import InProcessClient
from sampan.cluster import addons, merged, server
from sampan.cluster.agent import own_address, tls_context
from sampan.cluster.config import ClusterConfig
from sampan.cluster.controllers import ALL
from sampan.cluster.credentials import CredentialFlags, Current
from sampan.cluster.provision import Folder, NodeIdentity, provision
from sampan.cluster.security import SecurityFlags
from sampan.control.events import EventRecorder
from sampan.control.informer import Informers
from sampan.controllers.manager import Manager, select
from sampan.controllers.settings import ManagerSettings
from sampan.lib.errors import SampanError
from sampan.scheduler.scheduler import Scheduler

log = logging.getLogger(__name__)

SCHEDULER_USER = "system:kube-scheduler"


@dataclass(frozen=True)
class ControlPlaneConfig:
    """A cluster's folder and what it says."""

    folder: Path
    cluster: ClusterConfig
    bind: str = "0.0.0.0"  # nodes and pods reach it at the machine's address
    log_level: str = "warning"
    controllers: tuple[str, ...] = ManagerSettings.controllers
    security: SecurityFlags = SecurityFlags()
    credentials: CredentialFlags = CredentialFlags()


def user(name: str) -> User:
    """A component's user, with the groups that its credentials would give it."""
    if name.startswith("system:serviceaccount:"):
        namespace = name.split(":")[2]
        return User(name, groups=("system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated"))
    return User(name, groups=("system:authenticated",))


def serve(config: ControlPlaneConfig) -> int:
    """Run until a signal; the exit code.

    Raises:
        ConfigError: A controller that nobody knows.
    """
    select(ALL, config.controllers)
    cluster = config.cluster
    wanted = server.ServerConfig(data=config.folder, port=cluster.port, bind=config.bind, advertise=_address(cluster),
                                 service_cidr=cluster.service_range, log_level=config.log_level, security=config.security,
                                 credentials=config.credentials)

    async def beside(parts: server.Parts) -> None:
        await _beside(config, parts)

    return server.serve(wanted, beside)


async def _beside(config: ControlPlaneConfig, parts: server.Parts) -> None:
    _provision(config, parts, parts.credentials.current)
    await addons.ensure(InProcessClient(parts.api.app, server.ADMIN), config.cluster.dns_ip)
    async with Tasks() as tasks:
        tasks.start(_keep_provisioned(config, parts), "nodes' certificates")
        informers = start(parts, tasks, config.controllers)
        if config.cluster.fleet:
            _start_fleet(config, parts, tasks, informers)
        await tasks.wait()


def start(parts: server.Parts, tasks: Tasks, controllers: tuple[str, ...], *, scheduling: bool = True) -> Informers:
    """Run controllers and scheduler beside the API server; the informers that they share."""
    def client_for(name: str) -> Client:
        return InProcessClient(parts.api.app, user(name))

    clock, identity = parts.clock, parts.identity
    informers = Informers(client_for("system:kube-controller-manager"), clock=clock, identity=identity)
    settings = replace(_manager_settings(parts, parts.credentials.current), controllers=controllers)

    async def renewed(current: Current) -> None:
        settings.renewals.renew(_manager_settings(parts, current))

    parts.credentials.on_change(renewed)
    manager = Manager(client_for, settings, clock=clock, identity=identity, entries=ALL, informers=informers)
    tasks.start(informers.run(), "informers")
    tasks.start(manager.run(), "controllers")
    if not scheduling:
        return informers
    recorder = EventRecorder(client_for(SCHEDULER_USER), "default-scheduler", clock=clock, identity=identity)
    scheduler = Scheduler(client_for(SCHEDULER_USER), informers, clock=clock, event=recorder.record)
    recorder.give_way(scheduler.busy)
    tasks.start(recorder.run(), "scheduler events")
    tasks.start(scheduler.run(), "scheduler")
    return informers


def _start_fleet(config: ControlPlaneConfig, parts: server.Parts, tasks: Tasks, informers: Informers) -> None:
    """The simulated nodes, and a file that says when all of them are there."""
    from sampan.cluster.fleet import Fleet, FleetSettings

    cluster, ready = config.cluster, config.folder / "run" / "fleet.ready"
    ready.unlink(missing_ok=True)
    names = [cluster.node_name(index) for index in range(cluster.nodes)]

    def client_for(node: str) -> Client:
        return InProcessClient(parts.api.app, User(f"system:node:{node}", groups=("system:nodes", "system:authenticated")))

    fleet = Fleet(FleetSettings(names, config.folder / "nodes", cluster.agent_port, cluster.pod_range, cluster.dns_ip, cluster.domain),
                  client_for, informers, clock=parts.clock, identity=parts.identity)

    async def tell() -> None:
        await fleet.ready.wait()
        ready.parent.mkdir(parents=True, exist_ok=True)
        ready.touch()

    tasks.start(fleet.run(tls_context(config.folder / "nodes" / names[0])), "simulated nodes")
    tasks.start(tell(), "simulated nodes are ready")


def _manager_settings(parts: server.Parts, current: Current) -> ManagerSettings:
    """The controllers' settings, with the keys that they sign with."""
    ca = current.keys.ca.pair()
    return ManagerSettings(root_ca=current.authorities, service_account_private_key=current.signing_key,
                           cluster_signing_cert=ca.certificate, cluster_signing_key=ca.key,
                           cluster_signing_duration=parts.config.credentials.lifetimes.leaf.total_seconds())


def _address(cluster: ClusterConfig) -> str:
    """Where nodes and pods reach this machine."""
    return own_address("127.0.0.1" if cluster.simulated else str(ip_network(cluster.node_range(0))[1]))


async def _keep_provisioned(config: ControlPlaneConfig, parts: server.Parts) -> None:
    """Renew what the nodes of this machine have before it ends, and whenever it should be of another authority."""
    lock = asyncio.Lock()

    async def made(current: Current) -> datetime:
        async with lock:
            return await asyncio.to_thread(_provision, config, parts, current)

    async def renewed(current: Current) -> None:
        await made(current)
        await asyncio.to_thread(merged.refresh, config.folder)

    parts.credentials.on_change(renewed)
    look = parts.config.credentials.look_seconds
    while True:
        try:
            left = (await made(parts.credentials.current) - parts.clock.now()).total_seconds()
        except (SampanError, OSError) as error:
            log.error("nodes' certificates can't be renewed now, trying again: %s", error)
            left = look
        await parts.clock.sleep(max(0.2, min(left, look)))


def _provision(config: ControlPlaneConfig, parts: server.Parts, current: Current) -> datetime:
    """When that is to be done again."""
    cluster, ip = config.cluster, _address(config.cluster)
    ca, again = replace(current.keys.ca, bundle=current.trusted), list[datetime]()
    # the nodes of a fleet share the first one's port
    for name in cluster.processes or [cluster.node_name(0)]:
        again.append(provision(Folder(config.folder / "nodes" / name, parts.config.credentials.lifetimes), ca,
                               f"https://127.0.0.1:{cluster.port}", NodeIdentity(name, (ip,)), parts.clock))
    return min(again, default=current.keys.renew_after())
