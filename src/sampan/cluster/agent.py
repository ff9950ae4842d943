"""One node agent as a process: containers, pod network, Service proxy, DNS and the agent's own port, wired together.

Owns the order of starting: the runtime and the bridge first, then what watches the API. Leaves containers alone when
it ends; `remove` is what takes everything off the machine.
"""

from __future__ import annotations

import asyncio
import logging
import random
import shutil
import signal
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sampan.aio.clock import SystemClock
from sampan.aio.tasks import Tasks
from sampan.api.core.v1 import Pod
from sampan.client import kubeconfig
from sampan.client.remote import RemoteClient
from sampan.client.renewal import LOOK_SECONDS, Follower
from sampan.cluster.nodecredentials import NodeCertificate, NodeCredentials, RootBundle, ServingFiles
from sampan.control.events import EventRecorder
from sampan.control.informer import Informers
from sampan.drivers import leftovers, netlink, nft
from sampan.drivers.containerd import Containerd, ContainerdSettings
from sampan.lib.clock import Identity
from sampan.lib.collector import Collector
from sampan.lib.errors import SampanError
from sampan.network import cni
from sampan.network.cni import PodNetwork
from sampan.network.dns.resolver import ClusterDns, DnsSettings
from sampan.network.proxy.backends import nftables
from sampan.network.proxy.proxy import ServiceProxy
from sampan.node.agent import NodeAgent
from sampan.node.config import NodeSettings
from sampan.node.runtimes.base import Runtime
from sampan.node.runtimes.cri import CriRuntime
from sampan.node.server.app import NodeServer, Served
from sampan.node.server.auth import Gate
from sampan.node.surroundings import parse_resolv_conf

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class AgentConfig:
    """What the command line says. `folder` keeps the node's state; `credentials` is made by `cluster.provision`."""

    kubeconfig: Path
    node: str
    folder: Path
    credentials: Path
    simulated: bool = False
    runtime_endpoint: str = ""
    ip: str = ""
    port: int = 10250
    bridge: str = "sampan0"
    nft_table: str = "sampan"
    cgroup_root: str = "/sampan"
    node_range: str = "10.244.0.0/24"
    pod_range: str = "10.244.0.0/16"
    service_range: str = "10.96.0.0/16"
    dns_ip: str = "10.96.0.10"
    domain: str = "cluster.local"
    labels: dict[str, str] = field(default_factory=dict)
    log_level: str = "warning"
    look_seconds: float = LOOK_SECONDS
    """How often the files of the node's certificates are looked at."""

    @property
    def network(self) -> PodNetwork:
        return PodNetwork(self.bridge, self.node_range, self.pod_range, self.service_range)

    @property
    def containerd(self) -> ContainerdSettings:
        # the state folder's path must stay short: it holds sockets
        return ContainerdSettings(root=self.folder / "containerd", state=Path("/run/sampan") / self.bridge,
                                  cni_conf_dir=self.folder / "cni", registry_dir=self.folder / "registries")

    @property
    def tables(self) -> nftables.Settings:
        return nftables.Settings(table=self.nft_table, pod_ranges={4: self.pod_range}, service_ranges={4: self.service_range})


def own_address(otherwise: str = "127.0.0.1") -> str:
    """The address that others reach this machine at.

    `otherwise` where it has none: the pod bridge's is the machine's own too, and pods reach it.
    """
    return netlink.default_route()[1] or next(iter(netlink.global_addresses()), otherwise)


def node_settings(config: AgentConfig, ip: str) -> NodeSettings:
    """The agent's settings."""
    return NodeSettings(
        name=config.node, root=config.folder, log_root=config.folder / "logs", ips=(ip,), port=config.port,
        pod_range=config.node_range, cluster_dns=(config.dns_ip,), cluster_domain=config.domain, labels=config.labels, cgroup_root=f"{config.cgroup_root}/kubepods",
        manage_cgroups=not config.simulated, manage_mounts=not config.simulated)


def tls_context(credentials: Path) -> ssl.SSLContext:
    """The agent's serving certificate; client certificates of the cluster's CA are asked for and may be missing."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(credentials / "kubelet.crt", credentials / "kubelet.key")
    context.load_verify_locations(credentials / "ca.crt")
    context.verify_mode = ssl.CERT_OPTIONAL
    return context


async def serve(config: AgentConfig, ready: Callable[[], None] = lambda: None) -> None:
    """Run one node until SIGTERM or SIGINT."""
    clock, identity = SystemClock(), Identity()
    Collector(clock).settle()
    client = RemoteClient(kubeconfig.read(config.kubeconfig))
    network_client = RemoteClient(kubeconfig.read(config.credentials / "proxy.kubeconfig"))
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    try:
        async with Tasks() as tasks:
            ip = config.ip or own_address("127.0.0.1" if config.simulated else config.network.gateway)
            runtime = await _runtime(config, tasks, clock, identity)
            recorder = EventRecorder(client, "kubelet", clock=clock, identity=identity, host=config.node)
            informers = Informers(client, clock=clock, identity=identity)

            def event(about: Pod, kind: Any, reason: str, message: str) -> None:
                recorder.record(about, kind, reason, message)

            settings = node_settings(config, ip)
            agent = NodeAgent(client, runtime, settings, informers, clock=clock, identity=identity, event=event)
            served = Served(agent, runtime, Gate(client, config.node, clock=clock))
            server = NodeServer(lambda _: served, clock=clock)
            tasks.start(recorder.run(), "events")
            context = tls_context(config.credentials)
            tasks.start(server.run("0.0.0.0", config.port, context), "agent port")
            tasks.start(_credentials(config, (client, network_client), context, clock).run(), "certificates")
            tasks.start(agent.run(), "node agent")
            tasks.start(informers.run(), "informers")
            if not config.simulated:
                _network(config, tasks, network_client, clock, identity)
            tasks.start(_tell(agent, ready), "ready")
            stop = tasks.start(stopping.wait(), "signal")
            failed = tasks.start(tasks.wait(), "failure")
            await asyncio.wait([stop, failed], return_when=asyncio.FIRST_COMPLETED)
            if failed.done():
                failed.result()
    finally:
        await client.close()
        await network_client.close()


def _credentials(config: AgentConfig, clients: tuple[RemoteClient, RemoteClient], context: ssl.SSLContext, clock: SystemClock) -> NodeCredentials:
    """What keeps the node's and the network's access and the port's certificate good."""
    client, network_client = clients
    files = (config.kubeconfig, config.credentials / "proxy.kubeconfig")
    followers = (Follower(client, files[0], clock), Follower(network_client, files[1], clock))
    own = NodeCertificate(client, config.kubeconfig, config.node, clock)
    root = RootBundle(client, config.credentials, files, clock)
    return NodeCredentials(followers, ServingFiles(context, config.credentials), own, root, clock, seconds=config.look_seconds)


async def _tell(agent: NodeAgent, ready: Callable[[], None]) -> None:
    await agent.registered.wait()
    ready()


async def _runtime(config: AgentConfig, tasks: Tasks, clock: SystemClock, identity: Identity) -> Runtime:
    if config.simulated:
        from sampan.node.runtimes.simulated import SimulatedRuntime

        return SimulatedRuntime(clock, identity, pod_cidr=config.node_range)
    cni.set_up(config.network, cni.state_file())
    cni.write_config(config.network, config.containerd.cni_conf_dir, config.folder / "cni-data")
    _share_mounts(config.folder)
    if config.runtime_endpoint:
        return CriRuntime(config.runtime_endpoint, clock)
    containerd = Containerd(config.containerd, clock)
    await containerd.start()
    tasks.start(containerd.run(), "containerd")
    return CriRuntime(config.containerd.endpoint, clock)


def _share_mounts(folder: Path) -> None:
    """Make the folder of pods' volumes a shared mount, so that mount propagation works below it."""
    from sampan.node.volumes.manager import mount, mounts_below

    pods = folder / "pods"
    pods.mkdir(parents=True, exist_ok=True)
    if str(pods) not in mounts_below(pods):
        mount("--bind", str(pods), str(pods))
        mount("--make-rshared", str(pods))


def _network(config: AgentConfig, tasks: Tasks, client: RemoteClient, clock: SystemClock, identity: Identity) -> None:
    informers = Informers(client, clock=clock, identity=identity)
    proxy = ServiceProxy(informers, config.tables, nft.apply, node=config.node, clock=clock)
    resolv = Path("/etc/resolv.conf")
    upstreams = parse_resolv_conf(resolv.read_text()).servers if resolv.is_file() else ()
    dns = ClusterDns(client, informers, DnsSettings(config.node, (config.network.gateway,), config.domain, tuple(upstreams)),
                     clock=clock, rng=random.SystemRandom())
    tasks.start(informers.run(), "network informers")
    tasks.start(proxy.run(), "service proxy")
    tasks.start(dns.run(), "cluster dns")


async def remove(config: AgentConfig) -> None:
    """Take everything of this node off the machine but its folder's data: pods, containerd, bridge, rules, cgroups.

    Raises:
        SampanError: Something would not go; what could go is gone.
    """
    if config.simulated:
        return
    clock = SystemClock()
    containerd = Containerd(config.containerd, clock)
    if not config.runtime_endpoint and config.containerd.state.exists():
        try:
            await containerd.start()
            await _stop_pods(CriRuntime(config.containerd.endpoint, clock))
        except SampanError as error:
            log.warning("pods are not stopped through the runtime", extra={"error": str(error)})
        await containerd.stop()
        leftovers.kill_shims(config.containerd.socket)
        leftovers.forget_containers(config.containerd.state)
    leftovers.unmount_below((config.containerd.state, config.containerd.root, config.folder / "pods"))
    if not leftovers.mounts_below((config.containerd.state,)):
        shutil.rmtree(config.containerd.state, ignore_errors=True)
    for gone in ("pods", "logs", "cni-data"):
        if not leftovers.mounts_below((config.folder / gone,)):
            shutil.rmtree(config.folder / gone, ignore_errors=True)
    await nft.apply(nftables.removal(config.tables))
    cni.tear_down(config.network, cni.state_file())
    from sampan.node.cgroups import Cgroups

    Cgroups().remove(config.cgroup_root)


async def _stop_pods(runtime: CriRuntime) -> None:
    """Stop and remove every sandbox, a few at a time."""
    gate = asyncio.Semaphore(4)

    async def stop(sandbox_id: str) -> None:
        async with gate:
            await runtime.stop_sandbox(sandbox_id)
            await runtime.remove_sandbox(sandbox_id)

    await asyncio.gather(*(stop(sandbox.id) for sandbox in await runtime.list_sandboxes()))
    await runtime.close()
