"""Recording events: `recorder.record(pod, "Normal", "Scheduled", "…")` returns at once, a task writes.

Owns the correlator (repeats raise `count`, similar ones are combined, a noisy source is limited per object), what is not
yet written (bounded: when it is full a new event is dropped, counted and logged), and the writing as core/v1 Events, several
at once but those of one name in their order. Repeats of an event that still waits cost no write of their own.
Source: client-go `tools/record` (event.go, events_cache.go), `tools/events` (writes in flight).
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any, Literal

from msgspec import Struct
from msgspec.structs import replace

from sampan.aio.clock import AsyncClock
from sampan.aio.tasks import Tasks
from sampan.api.core.v1 import Event, EventSource, ObjectReference
from sampan.api.errors import AlreadyExists, ApiError, NotFound
from sampan.api.meta.v1 import ObjectMeta
from sampan.api.resources import ALL, EVENTS
from sampan.api.scalars import Time
from sampan.client.base import Client
from sampan.control.key import meta_of
from sampan.control.queue import TokenBucket
from sampan.kinds.plan import EventRecord
from sampan.lib.clock import Identity

log = logging.getLogger(__name__)

CACHE_SIZE = 4096
MAX_SIMILAR = 10
SIMILAR_SECONDS = 600.0
SPAM_BURST, SPAM_RATE = 25, 1.0 / 300
MOST_WAITING = 5000  # a burst of so many objects loses nothing; about 2 KB each
IN_FLIGHT = 16
MAX_TRIES = 12
RETRY_SECONDS = 10.0


@cache
def _kinds() -> dict[str, tuple[str, str]]:
    """Wire class (as "module:name") → (apiVersion, kind)."""
    return {resource.wire_path: (resource.group_version, resource.kind) for resource in ALL}


def reference_to(obj: Any) -> ObjectReference:
    """An ObjectReference to a Struct or dict (one to itself stays as it is)."""
    if isinstance(obj, ObjectReference):
        return obj
    meta = meta_of(obj)
    if isinstance(obj, dict):
        api_version, kind = obj.get("apiVersion", ""), obj.get("kind", "")
    else:
        api_version, kind = obj.apiVersion, obj.kind
    if not kind and not isinstance(obj, dict):
        api_version, kind = _kinds()[f"{type(obj).__module__}:{type(obj).__name__}"]
    return ObjectReference(apiVersion=api_version, kind=kind, namespace=meta.namespace, name=meta.name, uid=meta.uid,
                           resourceVersion=meta.resourceVersion)


@dataclass
class _Seen:
    name: str
    namespace: str
    count: int
    first: Time


@dataclass
class _Similar:
    messages: set[str] = field(default_factory=set)
    last: float = 0.0


class Correlated(Struct, frozen=True):
    """An event ready to be written; `repeats`: one of that name was there before. `key`: what the correlator knows it by."""

    event: Event
    repeats: bool
    key: tuple[str, ...] = ()

    @property
    def place(self) -> tuple[str, str]:
        """Where it is written."""
        return self.event.metadata.namespace, self.event.metadata.name


class Correlator:
    """Decides what becomes of an event: written, counted, combined with similar ones, or dropped. Pure."""

    def __init__(self) -> None:
        self._buckets: OrderedDict[tuple[str, ...], TokenBucket] = OrderedDict()
        self._similar: OrderedDict[tuple[str, ...], _Similar] = OrderedDict()
        self._seen: OrderedDict[tuple[str, ...], _Seen] = OrderedDict()

    def correlate(self, event: Event, now: float) -> Correlated | None:
        """`now` in seconds of a steady clock; changes `event`; None: drop it."""
        about = event.involvedObject
        source = (event.source.component, event.source.host, about.kind, about.namespace, about.name, about.uid,
                  about.apiVersion)
        group = (*source, event.type, event.reason, event.reportingComponent, event.reportingInstance)
        key: tuple[str, ...] = (*group, about.fieldPath, event.message)
        similar = _entry(self._similar, group, _Similar)
        if now - similar.last > SIMILAR_SECONDS:
            similar.messages = set()
        similar.last = now
        similar.messages.add(event.message)
        if len(similar.messages) >= MAX_SIMILAR:
            similar.messages.pop()
            event.message = "(combined from similar events): " + event.message
            # one of many: what it says beyond the words is left out
            event.reportingComponent = event.reportingInstance = event.action = ""
            event.related, event.metadata.annotations = None, {}
            key = group
        repeated = self._count(key, event)
        bucket = _entry(self._buckets, (*source, event.type), lambda: TokenBucket(SPAM_RATE, SPAM_BURST, now))
        return Correlated(event, repeated, key) if bucket.take(now) else None

    def forget(self, correlated: Correlated) -> None:
        """The event could not be written or is gone: its next repeat is a new one."""
        seen = self._seen.get(correlated.key)
        if seen is not None and seen.name == correlated.event.metadata.name:
            del self._seen[correlated.key]

    def rename(self, correlated: Correlated, name: str) -> None:
        """Its name was another's: it is written, and repeated, under this one."""
        seen = self._seen.get(correlated.key)
        if seen is not None and seen.name == correlated.event.metadata.name:
            seen.name = name
        correlated.event.metadata.name = name

    def name_of(self, correlated: Correlated) -> str:
        """The name under which it was written first."""
        seen = self._seen.get(correlated.key)
        return seen.name if seen is not None else correlated.event.metadata.name

    def _count(self, key: tuple[str, ...], event: Event) -> bool:
        seen = self._seen.get(key)
        if seen is None:
            self._seen[key] = _Seen(event.metadata.name, event.metadata.namespace, 1, event.firstTimestamp or Time(""))
            _trim(self._seen)
            return False
        self._seen.move_to_end(key)
        seen.count += 1
        event.metadata.name, event.firstTimestamp, event.count = seen.name, seen.first, seen.count
        return True


def _never() -> bool:
    return False


def _entry(table: OrderedDict[Any, Any], key: Any, make: Any) -> Any:
    found = table.get(key)
    if found is None:
        found = table[key] = make()
        _trim(table)
    else:
        table.move_to_end(key)
    return found


def _trim(table: OrderedDict[Any, Any]) -> None:
    while len(table) > CACHE_SIZE:
        table.popitem(last=False)


class EventRecorder:
    """Records the events of one component; run it beside the component."""

    def __init__(self, client: Client, component: str, *, clock: AsyncClock, identity: Identity, host: str = "") -> None:
        self._client, self._clock, self._identity = client, clock, identity
        self._component, self._host = component, host
        self._correlator = Correlator()
        self._waiting: OrderedDict[tuple[str, str], Correlated] = OrderedDict()
        self._writing: set[tuple[str, str]] = set()
        self._wake = asyncio.Event()
        self._made = 0
        self._busy: Callable[[], bool] = _never
        self.dropped = 0

    def record(self, about: Any, kind: Literal["Normal", "Warning"], reason: str, message: str, *, action: str = "",
               related: Any = None, annotations: dict[str, str] | None = None) -> None:
        """Tell about an object (Struct, dict or ObjectReference); never waits, never raises for a full queue."""
        event = self._event(reference_to(about), kind, reason, message)
        event.action, event.related = action, reference_to(related) if related is not None else None
        event.metadata.annotations = annotations or {}
        correlated = self._correlator.correlate(event, self._clock.monotonic())
        if correlated is not None:
            self._put(correlated)

    def emit(self, record: EventRecord) -> None:
        """The same, for an event of a `Plan`."""
        self.record(record.about, record.kind, record.reason, record.message, action=record.action)

    def give_way(self, busy: Callable[[], bool]) -> None:
        """While `busy()`, the component has more important calls under way: write one event at a time, and more the more wait."""
        self._busy = busy

    def idle(self) -> bool:
        """Everything recorded has been written."""
        return not self._waiting and not self._writing

    async def run(self) -> None:
        """Write events until cancelled."""
        async with Tasks() as tasks:
            while True:
                await self._wake.wait()
                self._wake.clear()
                while len(self._writing) < self._most() and (taken := self._take()) is not None:
                    tasks.start(self._one(taken), "event")

    def _most(self) -> int:
        """How many may be written at a time; at least one always is, so that its end has the rest looked at again."""
        return 1 + (IN_FLIGHT - 1) * len(self._waiting) // MOST_WAITING if self._busy() else IN_FLIGHT

    def _put(self, correlated: Correlated) -> None:
        before = self._waiting.get(correlated.place)
        if before is not None:
            # it has not been written since: the newer count is all there is to tell
            self._waiting[correlated.place] = replace(correlated, repeats=before.repeats)
            return
        if len(self._waiting) >= MOST_WAITING:
            self._drop(correlated)
            return
        self._waiting[correlated.place] = correlated
        self._wake.set()

    def _drop(self, correlated: Correlated) -> None:
        self.dropped += 1
        if not correlated.repeats:
            self._correlator.forget(correlated)
        if self.dropped & (self.dropped - 1) == 0:  # at 1, 2, 4, 8 …: a flood of events is no flood of lines
            log.warning("event dropped: too many wait to be written",
                        extra={"reason": correlated.event.reason, "component": self._component, "dropped": self.dropped})

    def _take(self) -> Correlated | None:
        """The first that waits and at whose place nothing is being written."""
        place = next((place for place in self._waiting if place not in self._writing), None)
        if place is None:
            return None
        self._writing.add(place)
        return self._waiting.pop(place)

    async def _one(self, correlated: Correlated) -> None:
        place = correlated.place
        if correlated.repeats:
            correlated.event.metadata.name = self._correlator.name_of(correlated)
        try:
            await self._write(correlated)
        finally:
            self._writing.discard(place)
            self._wake.set()

    async def _write(self, correlated: Correlated) -> None:
        event, repeats = correlated.event, correlated.repeats
        for attempt in range(MAX_TRIES):
            try:
                if repeats:
                    patch = {"count": event.count, "lastTimestamp": event.lastTimestamp, "message": event.message}
                    await self._client.patch(EVENTS, event.metadata.name, event.metadata.namespace, patch)
                else:
                    await self._client.create(EVENTS, event)
                return
            except AlreadyExists:
                if repeats or attempt:
                    return  # it was written, its answer was lost
                # another component told of the same object at the same instant (clocks may stand still)
                self._correlator.rename(correlated, _name(event.involvedObject.name, self._clock.now(), self._identity.chance.randrange(1, 1000)))
            except NotFound:
                if not repeats:
                    log.debug("event not written: its namespace is gone", extra={"event": event.metadata.name})
                    return
                repeats = False  # it has expired: write it anew under its name
            except ApiError as error:
                if not error.retriable and error.code < 500:
                    # refused for good: a namespace that is going away, a right that is missing
                    log.debug("event refused", extra={"event": event.metadata.name, "error": str(error)})
                    self._correlator.forget(correlated)
                    return
                log.warning("event not written", extra={"event": event.metadata.name, "error": str(error)})
                # not all recorders at once when the server comes back
                await self._clock.sleep(RETRY_SECONDS * (self._identity.chance.random() if attempt == 0 else 1.0))
        self._correlator.forget(correlated)

    def _event(self, about: ObjectReference, kind: str, reason: str, message: str) -> Event:
        now = self._clock.now()
        stamp = Time.of(now)
        self._made += 1
        # the count keeps names apart where the clock stands still
        return Event(
            kind="Event", apiVersion="v1", metadata=ObjectMeta(name=_name(about.name, now, self._made % 1000), namespace=about.namespace or "default"),
            involvedObject=about, reason=reason, message=message[:1024], type=kind, count=1,
            source=EventSource(component=self._component, host=self._host),
            firstTimestamp=stamp, lastTimestamp=stamp,
            reportingComponent=self._component, reportingInstance=self._host,
        )


def _name(about: str, now: datetime, number: int) -> str:
    return f"{about}.{int(now.timestamp() * 1_000_000) * 1000 + number:x}"
