"""Keeps the kernel's Service rules true: watches Services and EndpointSlices, loads differences in batches.

Source: kube-proxy `pkg/proxy/nftables/proxier.go` (bounded frequency, full sync after a failure).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence

from sampan.aio.clock import AsyncClock
from sampan.aio.tasks import Tasks
from sampan.api.core.v1 import Service
from sampan.api.discovery.v1 import EndpointSlice
from sampan.api.resources import ENDPOINT_SLICES, SERVICES
from sampan.control.informer import Informers
from sampan.control.key import Key
from sampan.drivers.nft import NftFailed
from sampan.network.proxy.backends import nftables
from sampan.network.proxy.rules import Rule, by_service, compute, service_of

log = logging.getLogger(__name__)

LEAST_SECONDS_BETWEEN = 0.1
RETRY_SECONDS = 2.0
FULL_SECONDS = 3600.0
Apply = Callable[[Iterable[str]], Awaitable[None]]


class ServiceProxy:
    """The proxy of one node."""

    def __init__(self, informers: Informers, settings: nftables.Settings, apply: Apply, *, node: str, clock: AsyncClock,
                 zone: str = "", families: Sequence[int] = (4,)) -> None:
        self._settings, self._apply, self._node, self._zone, self._clock = settings, apply, node, zone, clock
        self._families = tuple(families)
        self._services, self._slices = informers.of(SERVICES), informers.of(ENDPOINT_SLICES)
        self._by_service = self._slices.index(by_service)
        self._rules: dict[str, tuple[Rule, ...]] = {}
        self._dirty: set[str] = set()
        self._wake = asyncio.Event()
        self._loaded: dict[int, nftables.Ruleset] = {}
        self._anew = False
        self.synced = asyncio.Event()

    async def run(self) -> None:
        """Work until cancelled; the rules stay when it ends."""
        await self._services.synced.wait()
        await self._slices.synced.wait()
        self._services.on_change(self._service_changed)
        self._slices.on_change(self._slice_changed)
        self._dirty = {_name(service) for service in self._services.items()}
        async with Tasks() as tasks:
            tasks.start(self._reload(), "reload service rules")
            while True:
                self._wake.clear()
                if self._anew:
                    self._loaded, self._anew = {}, False
                if await self._sync():
                    self.synced.set()
                    await self._clock.sleep(LEAST_SECONDS_BETWEEN)
                    await self._wake.wait()
                else:
                    await self._clock.sleep(RETRY_SECONDS)

    async def _reload(self) -> None:
        """Load everything now and then, though nothing has changed here: somebody may have changed the table."""
        while True:
            await self._clock.sleep(FULL_SECONDS)
            self._anew = True
            self._wake.set()

    def _service_changed(self, old: Service | None, new: Service | None) -> None:
        service = new or old
        assert service is not None
        self._dirty.add(_name(service))
        self._wake.set()

    def _slice_changed(self, old: EndpointSlice | None, new: EndpointSlice | None) -> None:
        changed = {service_of(entry) for entry in (old, new) if entry is not None} - {""}
        self._dirty |= changed
        if changed:
            self._wake.set()

    async def _sync(self) -> bool:
        """Compute what changed and load it; false when the kernel refused."""
        dirty, self._dirty = self._dirty, set()
        for name in dirty:
            self._compute(name)
        everything = [rule for rules in self._rules.values() for rule in rules]
        wanted = {family: nftables.desired(everything, family, self._settings) for family in self._families}
        commands: list[str] = []
        for family, ruleset in wanted.items():
            commands += nftables.changes(ruleset, self._loaded.get(family), family, self._settings)
        try:
            await self._apply(commands)
        except NftFailed as error:
            # somebody changed our table, or a batch was wrong: load everything next time
            log.warning("service rules not loaded", extra={"error": str(error)})
            self._loaded = {}
            return False
        self._loaded = wanted
        return True

    def _compute(self, name: str) -> None:
        namespace, _, service_name = name.partition("/")
        service = self._services.get(Key(namespace, service_name))
        rules = () if service is None else compute(service, self._by_service.get(name), node=self._node, zone=self._zone)
        if rules:
            self._rules[name] = rules
        else:
            self._rules.pop(name, None)


def _name(service: Service) -> str:
    return f"{service.metadata.namespace}/{service.metadata.name}"
