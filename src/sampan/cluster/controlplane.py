"""The control plane as one process: the API server, and beside it the controllers and the scheduler in process.

What `sampan up` runs. The in-process clients are trusted to be the users that they say; everybody else comes over
HTTPS and is authenticated and authorized. Beside a large fleet it is the API server alone (`simulation`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from ipaddress import ip_network
from pathlib import Path

from sampan.aio.tasks import Tasks
from sampan.apiserver.request import User
from sampan.client.base import Client
from sampan.client.inprocess import InProcessClient
from sampan.cluster import addons, fleetaccess, merged, server
from sampan.cluster.agent import own_address
from sampan.cluster.config import ClusterConfig
from sampan.cluster.credentials import CredentialFlags, Current
from sampan.cluster.provision import Folder, NodeIdentity, provision
from sampan.cluster.security import SecurityFlags
from sampan.control.informer import Informers
from sampan.controllers.settings import ManagerSettings
from sampan.lib.errors import SampanError

log = logging.getLogger(__name__)


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
    group = fleetaccess.group_of(name)
    return User(name, groups=(group, "system:authenticated") if group else ("system:authenticated",))


def serve(config: ControlPlaneConfig) -> int:
    """Run until a signal; the exit code.

    Raises:
        ConfigError: A controller that nobody knows.
    """
    cluster, security = config.cluster, config.security
    if cluster.apart:
        security = replace(security, headers=fleetaccess.trusting(config.folder))
    else:
        _check(config.controllers)
    wanted = server.ServerConfig(data=config.folder, port=cluster.port, bind=config.bind, advertise=_address(cluster),
                                 service_cidr=cluster.service_range, log_level=config.log_level, security=security,
                                 credentials=config.credentials)

    async def beside(parts: server.Parts) -> None:
        await _beside(config, parts)

    return server.serve(wanted, beside)


async def _beside(config: ControlPlaneConfig, parts: server.Parts) -> None:
    _provision(config, parts, parts.credentials.current)
    await addons.ensure(InProcessClient(parts.api.app, server.ADMIN, clock=parts.clock), config.cluster.dns_ip)
    async with Tasks() as tasks:
        tasks.start(_keep_provisioned(config, parts), "nodes' certificates")
        if config.cluster.apart:
            await _let_fleet_in(config, parts)
        else:
            informers = start(parts, tasks, config.controllers)
            if config.cluster.fleet:
                _start_nodes(config, parts, tasks, informers)
        await tasks.wait()


def start(parts: server.Parts, tasks: Tasks, controllers: tuple[str, ...], *, scheduling: bool = True) -> Informers:
    """Run controllers and scheduler beside the API server; the informers that they share."""
    from sampan.cluster import management  # not there beside a large fleet

    settings = replace(_manager_settings(parts, parts.credentials.current), controllers=controllers)

    async def renewed(current: Current) -> None:
        settings.renewals.renew(_manager_settings(parts, current))

    parts.credentials.on_change(renewed)
    return management.start(_clients(parts), settings, tasks, clock=parts.clock, identity=parts.identity, scheduling=scheduling)


def _clients(parts: server.Parts) -> Callable[[str], Client]:
    return lambda name: InProcessClient(parts.api.app, user(name), clock=parts.clock)


def _check(controllers: tuple[str, ...]) -> None:
    from sampan.cluster.controllers import ALL
    from sampan.controllers.manager import select

    select(ALL, controllers)


def _start_nodes(config: ControlPlaneConfig, parts: server.Parts, tasks: Tasks, informers: Informers) -> None:
    from sampan.cluster import simulation

    simulation.start_nodes(simulation.SimulationConfig(config.folder, config.cluster), _clients(parts), informers, tasks,
                           clock=parts.clock, identity=parts.identity)


async def _let_fleet_in(config: ControlPlaneConfig, parts: server.Parts) -> None:
    """Give the fleet's process its access, now and whenever it is another one."""
    async def renewed(current: Current) -> None:
        await asyncio.to_thread(fleetaccess.allow, config.folder, config.cluster.port, current)

    parts.credentials.on_change(renewed)
    await renewed(parts.credentials.current)


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
    for name in [cluster.node_name(0)] if cluster.fleet else cluster.processes:
        again.append(provision(Folder(config.folder / "nodes" / name, parts.config.credentials.lifetimes), ca,
                               f"https://127.0.0.1:{cluster.port}", NodeIdentity(name, (ip,)), parts.clock))
    return min(again, default=current.keys.renew_after())
