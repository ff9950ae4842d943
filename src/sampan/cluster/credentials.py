"""The certificates and keys of one server while it runs: renewed in time, told to those who use them, shared with others.

Owns `Credentials`: it takes the steps of the data folder's PKI (`pkidir`, `pkirotate`), reads the files that the command
line names instead, and calls everybody who has asked to be told. On a store that several servers share each publishes
its authorities and the public halves of its signing keys there, so that every server believes what any has signed,
without a private key ever leaving the machine that made it.

Time is the machine's: it is looked at again and again, since a machine may sleep.
Source: kube-apiserver's flags --client-ca-file, --tls-cert-file, --tls-private-key-file, --service-account-key-file,
--service-account-signing-key-file; `k8s.io/apiserver/pkg/server/dynamiccertificates`.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from sampan.aio.clock import AsyncClock
from sampan.lib import pki, pkidir
from sampan.lib.errors import ConfigError, SampanError
from sampan.lib.pkirotate import Lifetimes, blocks, write_private
from sampan.store.base import Change, Put, SharedStore, Subscription

log = logging.getLogger(__name__)

PREFIX = "/registry/sampan.io/trust/"
LEAST_SECONDS, FAILED_SECONDS = 0.2, 5.0
AGAIN = timedelta(days=30)
"""How often what is shared is written again: it goes by itself when its server is gone for as long as a token lives."""


@dataclass(frozen=True)
class GivenFiles:
    """What the command line names; None, or nothing, leaves it to the data folder."""

    client_ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    signing_key: Path | None = None
    verifying_keys: tuple[Path, ...] = ()

    def check(self) -> None:
        """Refuse what can't be used.

        Raises:
            ConfigError: One of a pair is missing, a file can't be read or is not what it should be.
        """
        if (self.certificate is None) != (self.key is None):
            raise ConfigError("--tls-cert-file and --tls-private-key-file belong together", hint="give both, or neither")
        if self.signing_key is not None and not self.verifying_keys:
            raise ConfigError("--service-account-signing-key-file needs --service-account-key-file", hint="name the file with its public half, too")
        for flag, path, judge in (("tls-cert-file", self.certificate, pki.facts_of), ("client-ca-file", self.client_ca, pki.facts_of),
                                  ("tls-private-key-file", self.key, pki.public_key),
                                  ("service-account-signing-key-file", self.signing_key, pki.public_key)):
            if path is None:
                continue
            try:
                judge(path.read_bytes())
            except OSError as error:
                raise ConfigError(f"--{flag} {path} can't be read: {error.strerror}") from None
            except pki.BadCertificate as error:
                raise ConfigError(f"--{flag} {path}: {error.message}") from None
        if self.certificate is not None and self.key is not None and not pki.belongs_to(self.certificate.read_bytes(), self.key.read_bytes()):
            raise ConfigError(f"{self.key} is not the key of {self.certificate}", hint="give the pair that belongs together")


@dataclass(frozen=True)
class CredentialFlags:
    """What the command line says: how long what is made lives, files that are used instead, how often all are looked at."""

    lifetimes: Lifetimes = Lifetimes()
    given: GivenFiles = GivenFiles()
    look_seconds: float = 60.0


@dataclass(frozen=True)
class CredentialSettings(CredentialFlags):
    """Also where they are (`folder`, DIR/pki) and the server's `names`."""

    folder: Path = Path("pki")
    names: pki.Names = pki.Names("kube-apiserver")


@dataclass(frozen=True)
class Current:
    """What is good now. Files that hold several certificates or keys are PEM, one behind the other."""

    keys: pkidir.ClusterPki
    certificate: Path
    """The server's own, and its key."""
    key: Path
    trusted: Path
    """Every authority whose certificates are believed: clients', servers', agents'."""
    signing_key: bytes
    verifying_keys: bytes
    digest: str

    @property
    def authorities(self) -> bytes:
        """What `trusted` holds."""
        return self.trusted.read_bytes()


Told = Callable[[Current], Awaitable[None]]


class Credentials:
    """Made before anything listens; keep `run()` running."""

    def __init__(self, settings: CredentialSettings, clock: AsyncClock) -> None:
        """Make or read everything.

        Raises:
            ConfigError: A file can't be used.
        """
        settings.given.check()
        self._settings, self._clock = settings, clock
        self._shared: dict[str, _Share] = {}
        self._store: SharedStore | None = None
        self._subscription: Subscription | None = None
        self._published = (b"", clock.now())
        self._told: list[Told] = []
        self._news = asyncio.Event()
        self.current = self._read()

    def on_change(self, told: Told) -> None:
        """Call this with every change, in the order of asking."""
        self._told.append(told)

    async def run(self) -> None:
        """Renew until cancelled. What fails is logged and tried again: what is there lasts for a while."""
        pause = 0.0
        try:
            while True:
                await self._wait(pause)
                pause = 0.0
                try:
                    await self.look()
                except (SampanError, OSError) as error:
                    log.error("certificates can't be renewed now, trying again: %s", error)
                    pause = FAILED_SECONDS
        finally:
            if self._subscription is not None:
                self._subscription.close()

    async def _wait(self, pause: float) -> None:
        left = (self.current.keys.renew_after() - self._clock.now()).total_seconds()
        seconds = pause or max(LEAST_SECONDS, min(left, self._settings.look_seconds))
        try:
            async with asyncio.timeout(seconds):
                await self._news.wait()
        except TimeoutError:
            pass  # nobody has told anything new: time to look
        self._news.clear()

    async def look(self) -> bool:
        """Take the steps that are due, tell everybody; whether there was a change.

        Raises:
            SampanError: Something can't be read, or somebody who was told couldn't use it: everybody is told again next time.
        """
        found = await asyncio.to_thread(self._read)
        await self._publish(found)
        if found.digest == self.current.digest:
            return False
        for told in self._told:
            await told(found)
        self.current = found
        log.info("certificates and keys are renewed", extra={"next": found.keys.renew_after().isoformat()})
        return True

    def _read(self) -> Current:
        settings, given = self._settings, self._settings.given
        keys = pkidir.ensure_cluster(settings.folder, settings.names, self._clock, settings.lifetimes)
        signing = (given.signing_key or keys.signing_key).read_bytes()
        verifying = b"".join(path.read_bytes() for path in given.verifying_keys) or keys.signing_public.read_bytes()
        authorities = keys.ca.bundle.read_bytes() + (given.client_ca.read_bytes() if given.client_ca is not None else b"")
        others = list(self._shared.values())
        trusted = settings.folder / "trusted.crt"
        write_private(trusted, _once(authorities, *(share.authorities for share in others)))
        public = _once(*(_public(pem) for pem in blocks(verifying)), *(share.verifying_keys for share in others))
        certificate, key = given.certificate or keys.server.certificate, given.key or keys.server.key
        files = (certificate, trusted, keys.admin.certificate, keys.kubelet_client.certificate, keys.front_proxy_ca.bundle,
                 keys.front_proxy_client.certificate, keys.ca.certificate)
        digest = hashlib.sha256(b"\0".join([signing, public, *(path.read_bytes() for path in files)])).hexdigest()
        return Current(keys, certificate, key, trusted, signing, public, digest)

    # -- several servers ------------------------------------------------------------------------------------------

    async def share(self, store: SharedStore) -> None:
        """Publish what is ours, believe what others have published and will.

        Raises:
            StoreError: The store can't be reached.
        """
        self._store = store
        await self._publish(self.current)
        page = await store.range(PREFIX)
        self._learn([Change(record.key, record.value, record.mod_revision, record.create_revision, 0) for record in page.records])
        self._subscription = await store.subscribe(PREFIX, page.revision, self._learn)
        self.current = await asyncio.to_thread(self._read)

    def _learn(self, changes: Sequence[Change]) -> None:
        for change in changes:
            share = _Share.of(change.value) if change.value is not None else None
            if share is None:
                self._shared.pop(change.key, None)
            else:
                self._shared[change.key] = share
        self._news.set()

    async def _publish(self, current: Current) -> None:
        if self._store is None:
            return
        own = _Share(current.keys.ca.bundle.read_bytes(), b"".join(_public(pem) for pem in blocks(self._own_keys(current)))).encoded()
        before, at = self._published
        now = self._clock.now()
        if own == before and now < at + AGAIN:
            return
        name = hashlib.sha256(str(self._settings.folder.absolute()).encode() + _machine()).hexdigest()[:32]
        await self._store.transact([Put(PREFIX + name, own, ttl_seconds=self._settings.lifetimes.tokens.total_seconds())])
        self._published = (own, now)

    def _own_keys(self, current: Current) -> bytes:
        given = self._settings.given.verifying_keys
        return b"".join(path.read_bytes() for path in given) or current.keys.signing_public.read_bytes()


@dataclass(frozen=True)
class _Share:
    """What one server tells the others."""

    authorities: bytes
    verifying_keys: bytes

    def encoded(self) -> bytes:
        return json.dumps({"authorities": self.authorities.decode(), "verifyingKeys": self.verifying_keys.decode()}).encode()

    @classmethod
    def of(cls, value: bytes) -> _Share | None:
        """None, and a line in the log, for what another version has written in a way that this one doesn't know."""
        try:
            found = json.loads(value)
            share = cls(str(found["authorities"]).encode(), str(found["verifyingKeys"]).encode())
            for pem in blocks(share.authorities):
                pki.facts_of(pem)
        except (ValueError, KeyError, TypeError, pki.BadCertificate) as error:
            log.warning("what another server shares can't be read: %s", error)
            return None
        return share


def _public(pem: bytes) -> bytes:
    return pki.public_key(pem) if b"PRIVATE KEY" in pem else pem


def _once(*parts: bytes) -> bytes:
    return b"".join(dict.fromkeys(pem for part in parts for pem in blocks(part)))


def _machine() -> bytes:
    path = Path("/etc/machine-id")
    return path.read_bytes() if path.exists() else b""
