"""Keeps upstream's own flow schemas and priority levels there, and the conditions of all schemas true.

Owns what is in `objects.json` (what a fresh Kubernetes 1.36 holds): the mandatory ones are always as upstream has them,
the suggested ones as long as their annotation says so. Looks every minute, as upstream does, and after every change.
Source: kubernetes `pkg/registry/flowcontrol/{rest,ensurer}`; `apf_controller.go`, `syncOne`.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from functools import cache
from importlib.resources import files
from typing import Any

from sampan.aio.backoff import Backoff
from sampan.aio.clock import AsyncClock
from sampan.aio.tasks import Tasks
from sampan.api import codec
from sampan.api.errors import AlreadyExists, ApiError, NotFound
from sampan.api.resources import FLOW_SCHEMAS, PRIORITY_LEVEL_CONFIGURATIONS
from sampan.apiserver.catalog import Catalog, Served
from sampan.apiserver.fieldmanager import FieldManager
from sampan.apiserver.flowcontrol.controller import FlowControl
from sampan.apiserver.flowcontrol.levels import CATCH_ALL_NAME, EXEMPT_NAME, Dangling
from sampan.apiserver.following import follow
from sampan.apiserver.registry import Registry, Write
from sampan.apiserver.request import User
from sampan.apiserver.watchcache import Caches
from sampan.store.base import StoreError

log = logging.getLogger(__name__)

LOOPBACK = User("system:apiserver", groups=("system:masters", "system:authenticated"))
PRODUCER, CONSUMER = "api-priority-and-fairness-config-producer-v1", "api-priority-and-fairness-config-consumer-v1"
AUTO_UPDATE = "apf.kubernetes.io/autoupdate-spec"
KEEP_SECONDS, ADJUST_SECONDS = 60.0, 10.0
MOST_UPDATES = 6  # of one schema's status in a minute: other servers may think otherwise
AGAIN = Backoff(0.2, 60.0)
RESOURCES = (PRIORITY_LEVEL_CONFIGURATIONS, FLOW_SCHEMAS)


class Upkeep:
    """`await ensure()` before requests come, then keep `run()` running."""

    def __init__(self, control: FlowControl, registry: Registry, catalog: Catalog, caches: Caches, clock: AsyncClock) -> None:
        self._control, self._registry, self._caches, self._clock = control, registry, caches, clock
        self._served: dict[str, Served] = {resource.kind: catalog.of(resource) for resource in RESOURCES}
        self._fields = FieldManager()
        self._changed = asyncio.Event()
        self._updates: dict[str, deque[float]] = {}

    async def ensure(self) -> None:
        """Make what is missing, change back what must be as it was, set the conditions.

        Raises:
            ApiError: A write was refused.
        """
        for wanted in objects():
            await self._ensure(wanted)
        await self.settle()

    async def run(self, *, keep: bool = True) -> None:
        """Work until cancelled; without `keep` upstream's objects are not looked after."""
        async with Tasks() as tasks:
            for resource in RESOURCES:
                tasks.start(follow(self._caches, self._clock, resource, lambda _: self._changed.set(), again_seconds=AGAIN.first_seconds),
                            f"changes of {resource.plural}")
            tasks.start(self._settle_again(), "conditions of flow schemas")
            tasks.start(self._adjust(), "borrowing of seats")
            if keep:
                tasks.start(self._keep(), "flow control objects")
            await tasks.wait()

    async def _adjust(self) -> None:
        while True:
            await self._clock.sleep(ADJUST_SECONDS)
            self._control.adjust()

    async def _keep(self) -> None:
        while True:
            await self._clock.sleep(KEEP_SECONDS)
            try:
                await self.ensure()
            except (ApiError, StoreError) as error:
                log.warning("flow control objects are not kept as they should be", extra={"why": str(error)})

    async def _settle_again(self) -> None:
        failures = 0
        while True:
            await self._changed.wait()
            self._changed.clear()
            try:
                await self.settle()
                failures = 0
            except (ApiError, StoreError) as error:
                failures += 1
                log.warning("conditions of flow schemas are not written", extra={"why": str(error), "failures": failures})
                await self._clock.sleep(AGAIN.delay_seconds(failures))
                self._changed.set()

    # -- conditions -------------------------------------------------------------------------------------------

    async def settle(self) -> None:
        """Be as the objects say, and write the conditions that are wrong.

        Raises:
            ApiError: A write was refused.
        """
        self._control.refresh()
        for wanted in self._control.wanted:
            await self._write_condition(wanted)

    async def _write_condition(self, wanted: Dangling) -> None:
        name, now = wanted.schema.metadata.name, self._clock.monotonic()
        if len(self._updates) > MOST_UPDATES * len(self._control.wanted) + 1000:
            self._updates.clear()
        recent = self._updates.setdefault(name, deque(maxlen=MOST_UPDATES))
        if len(recent) == MOST_UPDATES and now - recent[0] < KEEP_SECONDS:
            return  # the next look every minute finds it again
        recent.append(now)
        served = self._served["FlowSchema"]
        applied = {"kind": "FlowSchema", "apiVersion": served.resource.group_version, "metadata": {"name": name}, "status": {"conditions": [{
            "type": "Dangling", "status": wanted.status, "reason": wanted.reason, "message": wanted.message,
            "lastTransitionTime": str(self._registry.now())}]}}

        def change(old: Any) -> Any:
            return self._fields.apply(served, old, applied, manager=CONSUMER, force=True, subresource="status", now=self._registry.now())

        write = Write(LOOPBACK, manager=CONSUMER, subresource="status", applying=True)
        try:
            await self._registry.update(served, "", name, change, write)
        except NotFound:
            self._updates.pop(name, None)  # deleted: its own change will be seen

    # -- upstream's own objects -----------------------------------------------------------------------------------

    async def _ensure(self, wanted: Any) -> None:
        served = self._served[wanted.kind]
        name = wanted.metadata.name
        entry = self._caches.of(served.resource).get("", name)
        write = Write(LOOPBACK, manager=PRODUCER)
        if entry is None:
            try:
                await self._registry.create(served, "", codec.clone(wanted), write)
            except AlreadyExists:
                log.debug("another server was faster", extra={"object": name})
            return
        changed = as_wanted(entry.object, wanted)
        if changed is None:
            return

        def change(old: Any) -> Any:
            return as_wanted(old, wanted) or codec.clone(old)

        try:
            await self._registry.update(served, "", name, change, write)
        except NotFound:
            log.debug("deleted meanwhile: it is made in a minute", extra={"object": name})


def as_wanted(current: Any, wanted: Any) -> Any | None:
    """What `current` should be instead; None: it is well.

    Mandatory objects are always upstream's. Suggested ones follow their annotation; one without it is an object that
    nobody has changed (generation 1) or somebody's own.
    """
    annotations = current.metadata.annotations or {}
    said = annotations.get(AUTO_UPDATE, "").lower()
    known = said in _TRUE or said in _FALSE
    auto = wanted.metadata.name in (EXEMPT_NAME, CATCH_ALL_NAME) or (said in _TRUE if known else current.metadata.generation == 1)
    noted = known and (said in _TRUE) == auto
    spec = wanted.spec if auto else current.spec
    if noted and spec == current.spec:
        return None
    new = codec.clone(current)
    if not noted:
        new.metadata.annotations = {**annotations, AUTO_UPDATE: str(auto).lower()}
    new.spec = codec.clone(spec)
    return new


_TRUE, _FALSE = frozenset(("1", "t", "true")), frozenset(("0", "f", "false"))


@cache
def objects() -> tuple[Any, ...]:
    """What a fresh server holds, priority levels first. Read-only."""
    wires = {resource.kind: resource.wire for resource in RESOURCES}
    values = codec.loads(files("sampan.apiserver.flowcontrol").joinpath("objects.json").read_bytes())
    return tuple(codec.convert(wires[value["kind"]], value) for value in values)
