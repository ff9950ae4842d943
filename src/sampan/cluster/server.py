"""`sampan server`: one API server with its store and keys, over HTTPS, in the foreground.

Owns choosing the store, the data folder's layout (`pki/`, `store/`, `ca.crt`, `admin.kubeconfig`) and the order of
starting: whatever can be refused is refused before anything listens.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from sampan.aio.clock import SystemClock
from sampan.aio.tasks import Tasks
from sampan.apiserver.aggregation.connections import AggregationSettings
from sampan.apiserver.auth.tokens import read_token_file
from sampan.apiserver.bootstrap import Addresses
from sampan.apiserver.flowcontrol.inflight import FlowSettings
from sampan.apiserver.nodes import NodeAccess
from sampan.apiserver.request import User
from sampan.apiserver.server import ApiServer, Settings
from sampan.client import kubeconfig
from sampan.client.inprocess import InProcessClient
from sampan.cluster import addons, heap, listener
from sampan.cluster.credentials import CredentialFlags, Credentials, CredentialSettings, Current
from sampan.cluster.running import run
from sampan.cluster.security import SecurityFlags, handshake_ca, secured
from sampan.lib import logs, pki
from sampan.lib.clock import Identity
from sampan.lib.collector import Collector
from sampan.lib.errors import ConfigError
from sampan.lib.pkirotate import write_private
from sampan.store.base import SharedStore, Store

log = logging.getLogger(__name__)

ADMIN = User("sampan:control-plane", groups=("system:masters", "system:authenticated"))


@dataclass(frozen=True)
class EtcdFiles:
    """For an etcd that speaks TLS: whose certificate it must have, and ours. PEM."""

    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None


@dataclass(frozen=True)
class ServerConfig:
    """What the command line says."""

    data: Path
    port: int = 6443
    bind: str = "127.0.0.1"
    store: str = "sqlite"
    token_file: Path | None = None
    advertise: str = ""
    log_level: str = "warning"
    service_cidr: str = "10.96.0.0/16"
    etcd: EtcdFiles = EtcdFiles()
    security: SecurityFlags = SecurityFlags()
    flow: FlowSettings = FlowSettings()
    front_proxy: bool = True
    aggregator_routing: bool = False
    credentials: CredentialFlags = CredentialFlags()


@dataclass(frozen=True)
class Parts:
    """What runs beside the API server in its process is given this."""

    config: ServerConfig
    api: ApiServer
    credentials: Credentials
    clock: SystemClock
    identity: Identity
    addresses: Addresses


Beside = Callable[[Parts], Coroutine[Any, Any, None]]


def serve(config: ServerConfig, beside: Beside | None = None) -> int:
    """Run until a signal; the exit code. `beside` runs in the same process once the server is ready to be asked."""
    logs.configure(config.log_level)
    run(_serve(config, beside))
    return 0


async def _serve(config: ServerConfig, beside: Beside | None) -> None:
    with listener.bind(config.bind, config.port) as listening:
        await _serve_on(listening, config, beside)


async def _serve_on(listening: socket.socket, config: ServerConfig, beside: Beside | None) -> None:
    clock, identity = SystemClock(), Identity()
    data = _folder(config.data)
    advertise = config.advertise or advertised(config.bind)
    addresses = Addresses(advertise, config.port, (config.service_cidr,))
    names = pki.server_names(host=socket.gethostname(), addresses=_addresses(config.bind, advertise), service_address=addresses.service)
    flags = config.credentials
    credentials = Credentials(CredentialSettings(flags.lifetimes, flags.given, flags.look_seconds, data / "pki", names), clock)
    users = read_token_file(config.token_file) if config.token_file else {}
    settings = secured(Settings(flow=config.flow), config.security)
    store = await open_store(config.store, data / "store", clock, config.etcd)
    try:
        if isinstance(store, SharedStore):
            await credentials.share(store)
        now = credentials.current
        api = ApiServer(store, clock, identity, replace(
            settings, addresses=addresses, signing_key=now.signing_key, verifying_keys=now.verifying_keys, users=users, client_ca=now.authorities,
            nodes=NodeAccess(str(now.keys.kubelet_client.certificate), str(now.keys.kubelet_client.key), str(now.trusted)),
            aggregation=_aggregation(config, now)))
        await api.start()
        await addons.allow_rotation(InProcessClient(api.app, ADMIN, clock=clock))
        write_access(config, now)
        Collector(clock).settle()
        listened = listener.configure(api.app, certificate=str(now.certificate), key=str(now.key), client_ca=str(handshake_ca(config.security, now.trusted, data)))
        server = listener.Server(listened, api.stop)

        async def renewed(current: Current) -> None:
            assert listened.ssl is not None
            # who may be shown a certificate of a new authority knows it first
            await api.renew(current.signing_key, current.verifying_keys, current.authorities)
            write_access(config, current)
            listener.renew(listened.ssl, certificate=str(current.certificate), key=str(current.key), client_ca=str(handshake_ca(config.security, current.trusted, data)))

        credentials.on_change(renewed)
        log.info("serving", extra={"address": config.bind, "port": config.port})
        async with Tasks() as tasks:
            serving = tasks.start(listener.serve_until_signalled(server, listening), "https")
            tasks.start(credentials.run(), "certificates")
            tasks.start(heap.keep(clock), "heap", keep_going=True)
            if beside is not None:
                tasks.start(beside(Parts(config, api, credentials, clock, identity, addresses)), "beside the api server")
            failed = tasks.start(tasks.wait(), "failure")
            await asyncio.wait([serving, failed], return_when=asyncio.FIRST_COMPLETED)
        await api.stop()
    finally:
        await store.close()


def _aggregation(config: ServerConfig, now: Current) -> AggregationSettings:
    client, authority = now.keys.front_proxy_client, now.keys.front_proxy_ca
    if not config.front_proxy:
        return AggregationSettings(to_endpoints=config.aggregator_routing)
    return AggregationSettings(str(client.certificate), str(client.key), str(authority.bundle), to_endpoints=config.aggregator_routing)


def _folder(path: Path) -> Path:
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"the data folder {path} can't be made: {error.strerror}") from None
    return path


async def open_store(name: str, folder: Path, clock: SystemClock, etcd: EtcdFiles = EtcdFiles()) -> Store:
    """`sqlite`, `memory` or `etcd://HOST:PORT[,HOST:PORT]`.

    Raises:
        ConfigError: There is no such store.
        StoreError: The folder is in use, of a newer version, or broken; etcd doesn't answer.
    """
    if name == "memory":
        from sampan.store.memory import MemoryStore

        return MemoryStore(clock)
    if name == "sqlite":
        from sampan.store.sqlite import SqliteStore

        return await SqliteStore.open(folder, clock)
    if name.startswith("etcd://"):
        from sampan.store.etcd import EtcdSettings, EtcdStore
        from sampan.store.etcdclient import EtcdTls

        return await EtcdStore.open(name, clock, EtcdSettings(tls=EtcdTls(etcd.ca, etcd.certificate, etcd.key)))
    raise ConfigError(f'there is no store "{name}"', hint="choose sqlite, memory or etcd://HOST:PORT")


def write_access(config: ServerConfig, current: Current) -> None:
    """`ca.crt` and `admin.kubeconfig` in the data folder."""
    ca, admin = current.authorities, current.keys.admin.pair()
    write_private(config.data / "ca.crt", ca)
    host = reachable(config.bind)
    access = kubeconfig.Access(f"https://{host}:{config.port}", ca, client_certificate=admin.certificate, client_key=admin.key)
    kubeconfig.write(config.data / "admin.kubeconfig", kubeconfig.build("sampan", access))


def reachable(bind: str) -> str:
    """How this machine reaches an address that is listened on."""
    if bind in {"0.0.0.0", "::", ""}:
        return "127.0.0.1"
    return f"[{bind}]" if ":" in bind else bind


def advertised(bind: str) -> str:
    """An address of this machine that is not its loopback, for the Service `kubernetes`; asks the routing table, sends nothing."""
    if bind not in {"0.0.0.0", "::", ""} and not ip_address(bind).is_loopback:
        return bind
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("198.51.100.1", 9))
            found: str = probe.getsockname()[0]
        except OSError:
            return "192.0.2.1"  # a machine without a network: nothing else will come by that way
    return "192.0.2.1" if ip_address(found).is_loopback else found


def _addresses(bind: str, advertise: str) -> list[str]:
    return [address for address in (bind, advertise) if address not in {"", "0.0.0.0", "::"}]
