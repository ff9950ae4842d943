"""Leader election on a Lease: of several processes one runs the work, another takes over when it stops renewing.

Owns acquiring, renewing, giving up and releasing. Times are judged by how long the record has not changed on the own
steady clock, never by another machine's wall clock. Source: client-go `tools/leaderelection`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

from sampan.aio.clock import AsyncClock
from sampan.aio.tasks import Tasks
from sampan.api import codec
from sampan.api.coordination.v1 import Lease, LeaseSpec
from sampan.api.errors import AlreadyExists, ApiError, Conflict, NotFound
from sampan.api.meta.v1 import ObjectMeta
from sampan.api.resources import LEASES
from sampan.api.scalars import MicroTime
from sampan.client.base import Client
from sampan.control.events import EventRecorder
from sampan.lib.clock import Identity
from sampan.lib.errors import SampanError

log = logging.getLogger(__name__)

T = TypeVar("T")
JITTER = 1.2


class LostLeadership(SampanError):
    """Another process leads now, or this one could not renew in time: the process should end or start again."""


@dataclass(frozen=True)
class ElectionSettings:
    """Upstream's --leader-elect-* flags, in seconds; `holder` must be unique among the processes."""

    holder: str
    name: str
    namespace: str = "kube-system"
    lease_duration: float = 15.0
    renew_deadline: float = 10.0
    retry_period: float = 2.0


class LeaderElector:
    """`await elector.run(work)`: wait to lead, run `work()` while leading, release the lease when it ends."""

    def __init__(self, client: Client, settings: ElectionSettings, *, clock: AsyncClock, identity: Identity,
                 recorder: EventRecorder | None = None) -> None:
        self._client, self._settings, self._clock, self._identity = client, settings, clock, identity
        self._recorder = recorder
        self._observed: Lease | None = None
        self._observed_at = 0.0
        self.leading = False

    async def run(self, work: Callable[[], Awaitable[None]]) -> None:
        """Lead once.

        Raises:
            LostLeadership: The lease could not be renewed within the deadline, or somebody else took it.
        """
        while not await self._try_within(self._settings.renew_deadline):
            await self._clock.sleep(self._settings.retry_period * (1 + self._identity.chance.random() * (JITTER - 1)))
        self.leading = True
        log.info("leading", extra={"lease": self._settings.name, "holder": self._settings.holder})
        if self._recorder is not None and self._observed is not None:
            self._recorder.record(self._observed, "Normal", "LeaderElection", f"{self._settings.holder} became leader")
        try:
            async with Tasks() as tasks:
                tasks.start(self._renew(), "leader election")
                working = tasks.start(_coroutine(work), "the leader's work")
                waiting = tasks.start(tasks.wait(), "the leader's failure", keep_going=True)
                done, _ = await asyncio.wait([working, waiting], return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
        finally:
            self.leading = False
            await self._within(self._release(), self._settings.renew_deadline)

    async def _renew(self) -> None:
        renewed = self._clock.monotonic()
        while True:
            await self._clock.sleep(self._settings.retry_period)
            if await self._try_within(renewed + self._settings.renew_deadline - self._clock.monotonic()):
                renewed = self._clock.monotonic()
            elif self._clock.monotonic() - renewed >= self._settings.renew_deadline:
                raise LostLeadership(f"leader election lost: {self._settings.namespace}/{self._settings.name}")

    async def _try_within(self, seconds: float) -> bool:
        return await self._within(self._try(), seconds) or False

    async def _within(self, asking: Coroutine[Any, Any, T], seconds: float) -> T | None:
        """What comes of it, None if nothing has by then: a server that listens and never answers must not keep the work going."""
        async with Tasks() as tasks:
            asked, over = tasks.start(asking, "lease"), tasks.start(self._clock.sleep(seconds), "lease deadline")
            done, _ = await asyncio.wait((asked, over), return_when=asyncio.FIRST_COMPLETED)
            if asked in done:
                return asked.result()  # type: ignore[no-any-return]
        log.warning("the server does not answer", extra={"lease": self._settings.name, "seconds": seconds})
        return None

    async def _try(self) -> bool:
        try:
            return await self._acquire_or_renew()
        except ApiError as error:
            log.info("lease not acquired or renewed", extra={"lease": self._settings.name, "error": str(error)})
            return False

    async def _acquire_or_renew(self) -> bool:
        settings, now = self._settings, MicroTime.of(self._clock.now())
        try:
            lease = await self._client.get(LEASES, settings.name, settings.namespace)
        except NotFound:
            spec = LeaseSpec(holderIdentity=settings.holder, leaseDurationSeconds=int(settings.lease_duration),
                             acquireTime=now, renewTime=now, leaseTransitions=0)
            new = Lease(kind="Lease", apiVersion="coordination.k8s.io/v1", spec=spec,
                        metadata=ObjectMeta(name=settings.name, namespace=settings.namespace))
            try:
                self._observe(await self._client.create(LEASES, new))
            except AlreadyExists:
                return False
            return True
        if self._observed is None or self._observed.spec != lease.spec:
            self._observe(lease)
        mine = lease.spec.holderIdentity == settings.holder
        duration = lease.spec.leaseDurationSeconds or settings.lease_duration
        if lease.spec.holderIdentity and not mine and self._clock.monotonic() - self._observed_at < duration:
            return False
        new = codec.clone(lease)
        new.spec.holderIdentity, new.spec.renewTime = settings.holder, now
        new.spec.leaseDurationSeconds = int(settings.lease_duration)
        if not mine:
            new.spec.acquireTime = now
            new.spec.leaseTransitions = (lease.spec.leaseTransitions or 0) + 1
        try:
            self._observe(await self._client.update(LEASES, new))
        except Conflict:
            return False
        return True

    def _observe(self, lease: Lease) -> None:
        self._observed, self._observed_at = lease, self._clock.monotonic()

    async def _release(self) -> None:
        if self._observed is None or self._observed.spec.holderIdentity != self._settings.holder:
            return
        now = MicroTime.of(self._clock.now())
        lease = codec.clone(self._observed)
        lease.spec.holderIdentity, lease.spec.leaseDurationSeconds = "", 1
        lease.spec.renewTime = lease.spec.acquireTime = now
        try:
            await self._client.update(LEASES, lease)
        except ApiError as error:
            log.info("lease not released", extra={"lease": self._settings.name, "error": str(error)})


async def _coroutine(work: Callable[[], Awaitable[None]]) -> None:
    await work()
