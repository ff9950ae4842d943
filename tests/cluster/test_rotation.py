"""A cluster of processes whose authority lives for seconds: server, controllers, scheduler, agent and clients pass through
two changes of authorities, certificates and keys, and no request fails.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from sampan.aio.clock import SystemClock
from sampan.aio.tasks import Tasks
from sampan.api.authentication.v1 import TokenRequest, TokenRequestSpec
from sampan.api.core.v1 import ObjectReference, ServiceAccount
from sampan.api.errors import ServiceUnavailable
from sampan.api.meta.v1 import ObjectMeta
from sampan.api.resources import CERTIFICATE_SIGNING_REQUESTS, CONFIG_MAPS, LEASES, NAMESPACES, NODES, SERVICE_ACCOUNTS
from sampan.client import kubeconfig
from sampan.client.kubeconfig import Access
from sampan.client.remote import RemoteClient
from sampan.client.renewal import Follower
from sampan.cluster.provision import Folder, NodeIdentity, provision
from sampan.lib.pkidir import PkiFolder
from sampan.lib.pkirotate import Lifetimes, blocks
from sampan.testing import require
from sampan.testing.client import config_map
from sampan.testing.etcd import running_etcd
from sampan.testing.ports import free_port
from sampan.testing.waiting import PATIENCE_SECONDS, until

CA_SECONDS, LEAF_SECONDS = 36.0, 18.0  # long enough for a process to start on a slow machine, and to ask for its next certificate
LIVES = ["--ca-certificate-validity-period", f"{CA_SECONDS:g}s", "--certificate-validity-period", f"{LEAF_SECONDS:g}s", "--service-account-key-period", "12s",
         "--certificate-check-period", "300ms"]
LOOK = ["--certificate-check-period", "300ms"]

pytestmark = pytest.mark.slow


@asynccontextmanager
async def process(log: Path, *words: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """`sampan …`; what it says goes to a file."""
    with log.open("wb") as file:
        child = await asyncio.create_subprocess_exec(sys.executable, "-m", "sampan", *words, stderr=file, stdout=file,
                                                     env=os.environ | {"SSL_CERT_FILE": ""})
    try:
        yield child
    finally:
        if child.returncode is None:
            child.terminate()
            try:
                await asyncio.wait_for(child.wait(), PATIENCE_SECONDS)
            except TimeoutError:
                child.kill()
                await child.wait()


async def ready(data: Path) -> RemoteClient:
    path = data / "admin.kubeconfig"

    async def answers() -> bool:
        if not path.exists():
            return False
        client = RemoteClient(kubeconfig.read(path))
        try:
            return (await client.raw("GET", "/readyz")).code == 200
        except ServiceUnavailable:
            return False
        finally:
            await client.close()

    await until(answers)
    return RemoteClient(kubeconfig.read(path))


class Asking:
    """Asks without a pause; every answer that is not good is kept."""

    def __init__(self) -> None:
        self.answers, self.failures = 0, list[str]()

    async def run(self, what: str, ask: Callable[[], Awaitable[Any]], pause: float = 0.1) -> None:
        while True:
            try:
                await ask()
                self.answers += 1
            except Exception as error:  # noqa: BLE001 - shown by the test
                self.failures.append(f"{what}: {type(error).__name__} {error}")
            await asyncio.sleep(pause)


def logs(folder: Path) -> str:
    return "\n".join(f"--- {path.name}\n{path.read_text(errors='replace')[-3000:]}" for path in sorted(folder.glob("*.log")))


def test_a_cluster_passes_through_two_rotations_of_everything_without_a_failed_request(tmp_path: Path) -> None:
    asyncio.run(_two_rotations(tmp_path, require.program("kubectl")))


async def _two_rotations(folder: Path, kubectl: str) -> None:
    data, port, clock = folder / "data", free_port(), SystemClock()
    admin = data / "admin.kubeconfig"
    # given a cluster of processes whose authority lives for seconds
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(process(folder / "server.log", "server", "--data", str(data), "--port", str(port), *LIVES))
        client = await ready(data)
        stack.push_async_callback(client.close)
        node = folder / "node"
        ca = PkiFolder(data / "pki", clock, Lifetimes(ca=timedelta(seconds=CA_SECONDS))).ensure_ca("ca", "kubernetes")
        provision(Folder(node, Lifetimes(leaf=timedelta(seconds=LEAF_SECONDS))), ca, f"https://127.0.0.1:{port}", NodeIdentity("n1", ("127.0.0.1",)), clock)
        node_lives = [kubeconfig.read(node / "kubeconfig").client_certificate]
        pki_files = data / "pki"
        children = [server] + [await stack.enter_async_context(process(folder / f"{words[0]}.log", *words, *LOOK)) for words in (
            ("controllers", "--kubeconfig", str(admin), "--root-ca-file", str(data / "ca.crt"),
             "--service-account-private-key-file", str(pki_files / "sa.key"), "--cluster-signing-cert-file", str(pki_files / "ca.crt"),
             "--cluster-signing-key-file", str(pki_files / "ca.key"), "--cluster-signing-duration", f"{LEAF_SECONDS:g}s"),
            ("scheduler", "--kubeconfig", str(admin)),
            ("agent", "--kubeconfig", str(node / "kubeconfig"), "--node-name", "n1", "--node-ip", "127.0.0.1", "--node-port", str(free_port()),
             "--simulated"))]

        async def beats() -> bool:
            return any(lease.metadata.name == "n1" for lease in (await client.list(LEASES, "kube-node-lease")).items)

        await until(beats, "the node's heart beats")
        authorities, signers = {(pki_files / "ca.crt").read_bytes()}, {(pki_files / "sa.key").read_bytes()}
        asking = Asking()
        async with Tasks() as tasks:
            # when clients ask all the time: one that follows its file, one with a token, one that is made for each request
            follower = Follower(client, admin, clock, seconds=0.3)
            tasks.start(follower.run(), "follower")
            tasks.start(asking.run("admin", lambda: client.list(NAMESPACES)), "admin")
            tokens = await _tokens(client, port, data)
            tasks.start(asking.run("token", tokens), "token")
            tasks.start(asking.run("fresh", lambda: _fresh(admin), pause=0.5), "fresh")
            watched = tasks.start(_watch(client), "watch")

            async def changed_twice() -> bool:
                authorities.add((pki_files / "ca.crt").read_bytes())
                signers.add((pki_files / "sa.key").read_bytes())
                now = kubeconfig.read(node / "kubeconfig").client_certificate
                if now != node_lives[-1]:
                    node_lives.append(now)
                return len(authorities) >= 3

            await until(changed_twice)
            lease = await client.get(LEASES, "n1", "kube-node-lease")

            async def all_is_well() -> bool:
                beat = (await client.get(LEASES, "n1", "kube-node-lease")).spec.renewTime
                published = (await client.get(CONFIG_MAPS, "kube-root-ca.crt", "default")).data["ca.crt"]
                return beat != lease.spec.renewTime and published.encode() == (data / "ca.crt").read_bytes()

            # then the node's heart beats, and every namespace is told whom to trust
            await until(all_is_well)
            await client.create(CONFIG_MAPS, config_map("last"))
            assert "last" in await asyncio.wait_for(watched, PATIENCE_SECONDS)
        # and no request failed, no process ended
        told = f"{asking.failures[:5]}\n{logs(folder)}"
        assert not asking.failures, told
        assert [child.returncode for child in children] == [None] * 4, told
        assert asking.answers > 100
        assert len(signers) >= 3, told
        # the node had its certificates by requests that nobody had to approve by hand
        assert len(node_lives) >= 3, told
        requests = await client.list(CERTIFICATE_SIGNING_REQUESTS)
        assert {request.spec.username for request in requests.items} == {"system:node:n1"}, told
        # and who was told about the API server's authorities before knows the newest
        published = (await client.get(CONFIG_MAPS, "extension-apiserver-authentication", "kube-system")).data["client-ca-file"]
        assert (pki_files / "ca.crt").read_bytes() in blocks(published.encode())
        assert (await client.get(NODES, "n1")).metadata.name == "n1"
        done = await asyncio.to_thread(subprocess.run, [kubectl, "--kubeconfig", str(admin), "get", "nodes"], capture_output=True, text=True, check=False)
        assert "n1" in done.stdout, done.stderr


async def _fresh(path: Path) -> None:
    client = RemoteClient(kubeconfig.read(path))
    try:
        await client.list(CONFIG_MAPS, "default")
    finally:
        await client.close()


async def _watch(client: RemoteClient) -> set[str]:
    """The names of config maps of `default`, until `last` is among them; taken up again as an informer would."""
    names: set[str] = set()
    while "last" not in names:
        found = await client.list(CONFIG_MAPS, "default")
        names |= {one.metadata.name for one in found.items}
        try:
            async for event in client.watch(CONFIG_MAPS, "default", since=found.revision):
                names.add(event.object.metadata.name)
                if "last" in names:
                    break
        except ServiceUnavailable:
            continue  # the second renewal ends what the first has left
    return names


async def _tokens(client: RemoteClient, port: int, data: Path) -> Callable[[], Awaitable[None]]:
    """Asks as a service account with a token of the first key; every time also with one that is made now."""
    await client.create(SERVICE_ACCOUNTS, ServiceAccount(metadata=ObjectMeta(name="robot", namespace="default"), secrets=[ObjectReference()][:0]))

    async def made() -> str:
        request = TokenRequest(spec=TokenRequestSpec(expirationSeconds=3600))
        answer = await client.create(SERVICE_ACCOUNTS, request, "default", name="robot", subresource="token")
        return str(answer.status.token)

    first = await made()

    async def ask() -> None:
        for token in (first, await made()):
            robot = RemoteClient(Access(f"https://127.0.0.1:{port}", (data / "ca.crt").read_bytes(), token=token))
            try:
                answer = await robot.raw("GET", "/api/v1/namespaces/default/configmaps")
                # nobody has allowed it anything, but it is known
                assert answer.code == 403, answer.body
            finally:
                await robot.close()

    return ask


@pytest.mark.e2e
def test_servers_with_keys_of_their_own_on_one_etcd_take_one_anothers_tokens_and_certificates(tmp_path: Path) -> None:
    async def test() -> None:
        with running_etcd() as etcd:
            async with AsyncExitStack() as stack:
                # given two servers, each with a folder of its own
                clients = []
                for name in ("a", "b"):
                    await stack.enter_async_context(process(tmp_path / f"{name}.log", "server", "--data", str(tmp_path / name), "--port", str(free_port()),
                                                            "--store", etcd.url, "--advertise", "192.0.2.1", "--certificate-check-period", "300ms"))
                    clients.append(await ready(tmp_path / name))
                    stack.push_async_callback(clients[-1].close)
                first, second = clients
                assert first.access.ca != second.access.ca or first.access.client_certificate != second.access.client_certificate
                await first.create(SERVICE_ACCOUNTS, ServiceAccount(metadata=ObjectMeta(name="robot", namespace="default")))
                request = TokenRequest(spec=TokenRequestSpec(expirationSeconds=3600))
                token = (await first.create(SERVICE_ACCOUNTS, request, "default", name="robot", subresource="token")).status.token
                async def believed() -> bool:
                    # the bundle of the first has the second's authority once it has heard of it
                    return (tmp_path / "a" / "ca.crt").read_bytes().count(b"BEGIN") == 2

                await until(believed)
                # when one is shown what the other has signed
                by_token = RemoteClient(Access(second.access.server, (tmp_path / "a" / "ca.crt").read_bytes(), token=token))
                by_certificate = RemoteClient(replace(kubeconfig.read(tmp_path / "a" / "admin.kubeconfig"), server=second.access.server))
                stack.push_async_callback(by_token.close)
                stack.push_async_callback(by_certificate.close)
                # then it knows whose it is
                assert (await by_token.raw("GET", "/api/v1/namespaces/default/configmaps")).code == 403
                assert (await by_certificate.raw("GET", "/api/v1/namespaces/default/configmaps")).code == 200
                keys = [(await client.raw("GET", "/openid/v1/jwks")).body.count(b'"kid"') for client in clients]
                assert keys == [2, 2]

    asyncio.run(test())
