"""A node's certificates while its agent runs: files that somebody renews are followed, and its own client certificate is
asked for anew from the API server before it ends, as a kubelet does.

Owns the request (`kubernetes.io/kube-apiserver-client-kubelet`) and writing what comes back into the kubeconfig. On a
machine whose control plane renews the node's files first, nothing is asked for.
Source: kubelet `pkg/kubelet/certificate/kubelet.go`, client-go `util/certificate/certificate_manager.go`.
"""

from __future__ import annotations

import base64
import logging
import ssl
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sampan.aio.clock import AsyncClock
from sampan.api.certificates.v1 import CertificateSigningRequest, CertificateSigningRequestSpec
from sampan.api.core.v1 import ConfigMap
from sampan.api.errors import ApiError, NotFound
from sampan.api.meta.v1 import ObjectMeta
from sampan.api.resources import CERTIFICATE_SIGNING_REQUESTS, CONFIG_MAPS
from sampan.client import kubeconfig
from sampan.client.base import Client
from sampan.client.renewal import LOOK_SECONDS, Follower
from sampan.lib import pki
from sampan.lib.errors import SampanError
from sampan.lib.pkirotate import blocks, write_private
from sampan.lib.validity import validity

log = logging.getLogger(__name__)

ASKED_AFTER = 0.8  # of its life; the control plane of the same machine has had its turn at two thirds
ANSWER_SECONDS, POLL_SECONDS = 30.0, 0.5
ASKED_MOST = timedelta(hours=6)
USAGES = ["digital signature", "client auth"]


class ServingFiles:
    """Keeps a server's TLS context at what its files say."""

    def __init__(self, context: ssl.SSLContext, credentials: Path) -> None:
        self._context = context
        self._files = tuple(credentials / name for name in ("kubelet.crt", "kubelet.key", "ca.crt"))
        self._seen = self._marks()

    def _marks(self) -> tuple[tuple[int, int], ...]:
        return tuple((found.st_mtime_ns, found.st_ino) for found in (path.stat() for path in self._files))

    def look(self) -> bool:
        """Read them if they have changed.

        Raises:
            OSError: They can't be read or do not belong together: half of them may be new.
        """
        marks = self._marks()
        if marks == self._seen:
            return False
        certificate, key, ca = self._files
        if not pki.belongs_to(certificate.read_bytes(), key.read_bytes()):
            return False  # the other half is being written
        self._context.load_verify_locations(ca)
        self._context.load_cert_chain(certificate, key)
        self._seen = marks
        return True


class NodeCertificate:
    """The client certificate of one node, in its kubeconfig."""

    def __init__(self, client: Client, path: Path, node: str, clock: AsyncClock) -> None:
        self._client, self._path, self._node, self._clock = client, path, node, clock

    def due(self) -> datetime | None:
        """When to ask for the next one; None: the kubeconfig has no certificate."""
        certificate = kubeconfig.read(self._path).client_certificate
        if not certificate:
            return None
        begin, end = validity(certificate)
        start = min(begin + pki.BACKDATE, end)
        return start + (end - start) * ASKED_AFTER

    async def look(self) -> bool:
        """Ask for the next one if it is time; whether there is one.

        Raises:
            SampanError: The server didn't give one.
        """
        due = self.due()
        if due is None or self._clock.now() < due:
            return False
        key = pki.new_signing_key()
        certificate = await self._ask(key)
        if not pki.belongs_to(certificate, key):
            raise SampanError("the API server has signed another key than ours")
        self._write(certificate, key)
        log.info("the node has its next client certificate", extra={"until": pki.facts_of(certificate).not_after.isoformat()})
        return True

    async def _ask(self, key: bytes) -> bytes:
        names = pki.Names(f"system:node:{self._node}", ("system:nodes",))
        made: CertificateSigningRequest = await self._client.create(CERTIFICATE_SIGNING_REQUESTS, CertificateSigningRequest(
            metadata=ObjectMeta(generateName="csr-"),
            spec=CertificateSigningRequestSpec(request=pki.new_request(names, key=key), signerName=pki.KUBE_APISERVER_CLIENT_KUBELET, usages=USAGES)))
        until = self._clock.monotonic() + ANSWER_SECONDS
        while self._clock.monotonic() < until:
            found: CertificateSigningRequest = await self._client.get(CERTIFICATE_SIGNING_REQUESTS, made.metadata.name)
            if found.status.certificate:
                return found.status.certificate
            for condition in found.status.conditions:
                if condition.type in ("Denied", "Failed"):
                    raise SampanError(f"certificate signing request {made.metadata.name} is {condition.type.lower()}: {condition.message}")
            await self._clock.sleep(POLL_SECONDS)
        raise SampanError(f"certificate signing request {made.metadata.name} has not been answered in {ANSWER_SECONDS:g} s",
                          hint="the controllers csrapproving and csrsigning must run, and nodes may ask (sampan:node-autoapprove-certificate-rotation)")

    def _write(self, certificate: bytes, key: bytes) -> None:
        config = kubeconfig.load(self._path)
        current = next(one["context"] for one in config["contexts"] if one["name"] == config["current-context"])
        user: dict[str, Any] = next(one["user"] for one in config["users"] if one["name"] == current["user"])
        user.pop("client-certificate", None)
        user.pop("client-key", None)
        user["client-certificate-data"] = base64.b64encode(certificate).decode()
        user["client-key-data"] = base64.b64encode(key).decode()
        kubeconfig.write(self._path, config)


class RootBundle:
    """Whom the node trusts, as `kube-root-ca.crt` of kube-system tells it, in `ca.crt` and the kubeconfigs."""

    def __init__(self, client: Client, credentials: Path, kubeconfigs: tuple[Path, ...], clock: AsyncClock) -> None:
        self._client, self._ca, self._kubeconfigs, self._clock = client, credentials / "ca.crt", kubeconfigs, clock
        self._asked: datetime | None = None

    def due(self) -> bool:
        """Often enough to be told of the next authority before it signs; not more, there may be thousands of nodes."""
        if self._asked is None:
            return True
        times = [validity(pem) for pem in blocks(self._ca.read_bytes())]
        life = min((end - begin - pki.BACKDATE for begin, end in times), default=ASKED_MOST)
        return self._clock.now() >= self._asked + min(life / 24, ASKED_MOST)

    async def look(self) -> bool:
        """Ask, if it is time, and write what is new; whether there was something.

        Raises:
            ApiError: The server doesn't tell.
        """
        if not self.due():
            return False
        now = self._clock.now()
        try:
            found: ConfigMap = await self._client.get(CONFIG_MAPS, "kube-root-ca.crt", "kube-system")
        except NotFound:
            return False  # the controller that publishes it doesn't run, or not yet
        self._asked = now
        bundle, known = found.data.get("ca.crt", "").encode(), set(blocks(self._ca.read_bytes()))
        # what has nobody in common with what is trusted is no next step, but something else
        if set(blocks(bundle)) == known or not known & set(blocks(bundle)):
            return False
        for path in self._kubeconfigs:
            config = kubeconfig.load(path)
            for entry in config["clusters"]:
                entry["cluster"].pop("certificate-authority", None)
                entry["cluster"]["certificate-authority-data"] = base64.b64encode(bundle).decode()
            kubeconfig.write(path, config)
        write_private(self._ca, bundle)
        return True


class NodeCredentials:
    """All of one agent's."""

    def __init__(self, followers: tuple[Follower, ...], serving: ServingFiles, own: NodeCertificate, root: RootBundle, clock: AsyncClock, *,
                 seconds: float = LOOK_SECONDS) -> None:
        self._followers, self._serving, self._own, self._root = followers, serving, own, root
        self._clock, self._seconds = clock, seconds

    async def run(self) -> None:
        """Look again and again until cancelled; what fails is logged and tried again."""
        failing = ""
        while True:
            try:
                await self.look()
                failing = ""
            except (ApiError, SampanError, OSError) as error:
                if str(error) != failing:
                    log.warning("the node's certificates can't be renewed now, trying again: %s", error)
                failing = str(error)
            await self._clock.sleep(self._seconds)

    async def look(self) -> None:
        """Once."""
        await self._follow()
        if await self._own.look():
            await self._follow()
        if await self._root.look():
            await self._follow()

    async def _follow(self) -> None:
        for follower in self._followers:
            await follower.look()
        self._serving.look()
