"""A node's certificates while its agent runs, against a real API server; `test_rotation` has the whole in processes."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from sampan.aio.clock import SystemClock, VirtualClock
from sampan.aio.tasks import Tasks
from sampan.api import codec
from sampan.api.certificates.v1 import CertificateSigningRequest, CertificateSigningRequestCondition
from sampan.api.core.v1 import ConfigMap
from sampan.api.meta.v1 import ObjectMeta
from sampan.api.resources import CERTIFICATE_SIGNING_REQUESTS, CONFIG_MAPS
from sampan.client import kubeconfig
from sampan.client.base import Client
from sampan.cluster.nodecredentials import NodeCertificate, RootBundle, ServingFiles
from sampan.cluster.provision import Folder, NodeIdentity, provision
from sampan.lib import pki
from sampan.lib.errors import SampanError
from sampan.lib.pkidir import Authority, PkiFolder
from sampan.lib.pkirotate import blocks
from sampan.testing.server import LEAN, running_server
from sampan.testing.waiting import PATIENCE_SECONDS

NODE = NodeIdentity("n1", ("127.0.0.1",))


def node(folder: Path) -> tuple[Authority, Path]:
    """A node's folder by the real time, and the authority that it is of."""
    ca = PkiFolder(folder / "pki", SystemClock()).ensure_ca("ca", "kubernetes")
    provision(Folder(folder / "node"), ca, "https://127.0.0.1:1", NODE, SystemClock())
    return ca, folder / "node"


async def sign(client: Client, ca: Authority, *, deny: bool = False) -> None:
    """What the controllers do, for the first request that there is."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not (found := (await client.list(CERTIFICATE_SIGNING_REQUESTS)).items):  # noqa: ASYNC110 - the agent's doing
            await asyncio.sleep(0.01)
    csr: CertificateSigningRequest = codec.clone(found[0])
    csr.status.conditions = [CertificateSigningRequestCondition(type="Denied" if deny else "Approved", status="True", reason="Test", message="by a test")]
    csr = await client.update(CERTIFICATE_SIGNING_REQUESTS, csr, subresource="approval")
    if not deny:
        csr = codec.clone(csr)
        csr.status.certificate = pki.sign_csr(ca.pair(), csr.spec.request, csr.spec.usages, now=SystemClock().now(), duration=timedelta(days=700))
        await client.update(CERTIFICATE_SIGNING_REQUESTS, csr, subresource="status")


class Later(SystemClock):
    """The real time, some days on."""

    def __init__(self, days: float) -> None:
        self._on = timedelta(days=days)

    def now(self) -> datetime:
        return super().now() + self._on


@pytest.mark.parametrize(("days", "due"), [(0, False), (280, False), (300, True)])
def test_a_node_asks_for_its_next_certificate_in_the_last_fifth_of_its_time(tmp_path: Path, days: float, due: bool) -> None:
    async def test() -> None:
        ca, folder = node(tmp_path)
        before = kubeconfig.read(folder / "kubeconfig")
        async with running_server(settings=LEAN) as server, Tasks() as tasks:
            own = NodeCertificate(server.client, folder / "kubeconfig", "n1", Later(days))
            if due:
                tasks.start(sign(server.client, ca), "controllers")
            assert await own.look() == due
            # then the kubeconfig has it, with its own key, and nothing else has changed there
            after = kubeconfig.read(folder / "kubeconfig")
            assert (after.client_certificate != before.client_certificate) == due
            assert pki.belongs_to(after.client_certificate, after.client_key)
            assert pki.facts_of(after.client_certificate).names.common_name == "system:node:n1"
            assert replace(after, client_certificate=b"", client_key=b"") == replace(before, client_certificate=b"", client_key=b"")

    asyncio.run(test())


def test_a_request_that_is_denied_is_told_and_changes_nothing(tmp_path: Path) -> None:
    async def test() -> None:
        ca, folder = node(tmp_path)
        before = (folder / "kubeconfig").read_bytes()
        async with running_server(settings=LEAN) as server, Tasks() as tasks:
            tasks.start(sign(server.client, ca, deny=True), "controllers")
            with pytest.raises(SampanError, match="is denied: by a test"):
                await NodeCertificate(server.client, folder / "kubeconfig", "n1", Later(300)).look()
        assert (folder / "kubeconfig").read_bytes() == before

    asyncio.run(test())


def test_the_bundle_is_taken_when_it_has_somebody_in_common_with_what_is_trusted(tmp_path: Path) -> None:
    async def test() -> None:
        ca, folder = node(tmp_path)
        clock, own = VirtualClock(), ca.certificate.read_bytes()
        now = SystemClock().now()
        other, next_one = (pki.new_ca("kubernetes", now=now).certificate for _ in range(2))
        files = (folder / "kubeconfig", folder / "proxy.kubeconfig")
        async with running_server(settings=LEAN) as server:
            async def publish(bundle: bytes) -> None:
                wanted = ConfigMap(metadata=ObjectMeta(name="kube-root-ca.crt", namespace="kube-system"), data={"ca.crt": bundle.decode()})
                try:
                    await server.client.delete(CONFIG_MAPS, "kube-root-ca.crt", "kube-system")
                finally:
                    await server.client.create(CONFIG_MAPS, wanted)

            root = RootBundle(server.client, folder, files, clock)
            # given that nobody publishes anything, or somebody else's
            assert not await root.look()
            await server.client.create(CONFIG_MAPS, ConfigMap(metadata=ObjectMeta(name="kube-root-ca.crt", namespace="kube-system"),
                                                              data={"ca.crt": other.decode()}))
            assert not await root.look()
            # when the next authority is published beside ours, and time has passed
            await publish(own + next_one)
            assert not await root.look()
            await clock.advance(6 * 3600)
            assert await root.look()
        # then it is everywhere
        assert blocks((folder / "ca.crt").read_bytes()) == [own, next_one]
        assert [blocks(kubeconfig.read(path).ca) for path in files] == [[own, next_one]] * 2

    asyncio.run(test())


def test_the_agents_port_shows_what_its_files_say(tmp_path: Path) -> None:
    # given a context of a node's files
    ca, folder = node(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "kubelet.crt", folder / "kubelet.key")
    serving = ServingFiles(context, folder)
    assert not serving.look()
    # when one half has been written, then nothing is taken
    pair = pki.issue(ca.pair(), pki.Names("system:node:n1", dns=("n1",)), ("server auth",), now=SystemClock().now())
    (folder / "kubelet.key").write_bytes(pair.key)
    assert not serving.look()
    # and with the other half the next handshake shows it
    (folder / "kubelet.crt").write_bytes(pair.certificate)
    assert serving.look()
    assert ssl.PEM_cert_to_DER_cert(pair.certificate.decode()) == _shown(context, ca)


def _shown(context: ssl.SSLContext, ca: Authority) -> bytes:
    """The certificate of a handshake in memory."""
    client = ssl.create_default_context(cadata=ca.bundle.read_text())
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    here, there = client.wrap_bio(to_client, to_server, server_hostname="n1"), context.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(5):
        for side in (here, there):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    found = here.getpeercert(True)
    assert found is not None
    return found
