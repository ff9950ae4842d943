"""A fleet's nodes, in the control plane's process or, of a large one, with controllers and scheduler in a process of their own.

An API server that does nothing else, and everything that asks it: two loads of about the same size, for two cores.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sampan.aio.clock import AsyncClock
from sampan.aio.tasks import Tasks
from sampan.client.base import Client
from sampan.cluster import fleetaccess, management
from sampan.cluster.agent import tls_context
from sampan.cluster.components import ComponentConfig, Process, follow_files, run_component
from sampan.cluster.config import FLEET, ClusterConfig
from sampan.cluster.fleet import Fleet, FleetSettings
from sampan.cluster.fleetaccess import NODE_USER, WATCHER_USER
from sampan.control.informer import Informers
from sampan.controllers.settings import ManagerSettings
from sampan.lib.clock import Identity
from sampan.lib.pkirotate import Lifetimes

AT_ONCE = 96
"""Requests: thousands of nodes ask, and the API server commits what comes together in one go."""


@dataclass(frozen=True)
class SimulationConfig:
    """`sampan fleet`: a cluster's folder and what it says."""

    folder: Path
    cluster: ClusterConfig
    log_level: str = "warning"


def serve(config: SimulationConfig) -> int:
    """Run controllers, scheduler and nodes until a signal; the exit code.

    Raises:
        ConfigError: The control plane has not given its access yet.
    """
    pki = config.folder / "pki"
    files = {"root_ca": config.folder / "ca.crt", "service_account_private_key": pki / "sa.key",
             "cluster_signing_cert": pki / "ca.crt", "cluster_signing_key": pki / "ca.key"}

    def start(here: Process) -> None:
        def client_for(user: str) -> Client:
            return here.client.naming(user, fleetaccess.group_of(user))

        read: dict[str, Any] = {name: path.read_bytes() for name, path in files.items()}
        settings = ManagerSettings(**read, cluster_signing_duration=Lifetimes().leaf.total_seconds())
        here.tasks.start(follow_files(settings, files, here.clock), "files of keys")
        informers = management.start(client_for, settings, here.tasks, clock=here.clock, identity=here.identity)
        start_nodes(config, client_for, informers, here.tasks, clock=here.clock, identity=here.identity)

    return run_component(ComponentConfig(fleetaccess.path(config.folder), config.log_level, at_once=AT_ONCE), start)


def start_nodes(config: SimulationConfig, client_for: Callable[[str], Client], informers: Informers, tasks: Tasks, *,
                clock: AsyncClock, identity: Identity) -> None:
    """Run the nodes, and leave a file that says when all of them are there."""
    cluster, ready = config.cluster, config.folder / "run" / f"{FLEET}.ready"
    ready.unlink(missing_ok=True)
    names = [cluster.node_name(index) for index in range(cluster.nodes)]
    settings = FleetSettings(names, config.folder / "nodes", cluster.agent_port, cluster.pod_range, cluster.dns_ip, cluster.domain)
    fleet = Fleet(settings, lambda node: client_for(f"{NODE_USER}{node}"), informers, watcher=client_for(WATCHER_USER), clock=clock, identity=identity)

    async def tell() -> None:
        await fleet.ready.wait()
        ready.parent.mkdir(parents=True, exist_ok=True)
        ready.touch()

    tasks.start(fleet.run(tls_context(config.folder / "nodes" / names[0])), "simulated nodes")
    tasks.start(tell(), "simulated nodes are ready")
