"""`FlowControl`: gives every request its seat, lets it wait for one, or has it turned away.

Owns remembering what a request was classified as, waking who waits, and reading the objects anew when they have changed.
The usual request (nobody waits) passes without an await.
Source: `k8s.io/apiserver/pkg/server/filters/{priority-and-fairness,maxinflight}.go`.
"""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

from sampan.aio.clock import AsyncClock
from sampan.aio.tasks import Tasks
from sampan.api.flowcontrol.v1 import (
    ExemptPriorityLevelConfiguration,
    FlowSchema,
    PriorityLevelConfiguration,
    PriorityLevelConfigurationSpec,
)
from sampan.api.meta.v1 import ObjectMeta
from sampan.api.resources import FLOW_SCHEMAS, PRIORITY_LEVEL_CONFIGURATIONS
from sampan.apiserver.flowcontrol import dump, rules
from sampan.apiserver.flowcontrol.estimate import ONE_SEAT, Asked, Stored, Work, list_work, mutating_work
from sampan.apiserver.flowcontrol.inflight import NOT_MUTATING, FlowSettings, too_many
from sampan.apiserver.flowcontrol.levels import CATCH_ALL_NAME, EXEMPT_NAME, Dangling, Level, Levels
from sampan.apiserver.flowcontrol.queueset import EXECUTING, WAITING, Ticket
from sampan.apiserver.flowcontrol.shuffle import flow_hash
from sampan.apiserver.flowcontrol.tally import SchemaTally
from sampan.apiserver.options import first
from sampan.apiserver.parse import truth
from sampan.apiserver.request import RequestInfo
from sampan.apiserver.response import Answer, Headers
from sampan.apiserver.watchcache import Readers
from sampan.kinds.flowcontrol import mandatory

MOST_FLOWS = 16_384
EVERYTHING, ONE = Asked(), Asked(single=True)
REQUEST_SECONDS = 60.0


class World(Protocol):
    """What there is, as far as it makes requests expensive."""

    def stored(self, info: RequestInfo) -> Stored | None:
        """Of the resource that is asked about; None: unknown."""
        ...

    def watchers(self, info: RequestInfo) -> int:
        """How many watches would be told of a change of what the request names."""
        ...


class Flow:
    """What requests that are alike were classified as."""

    __slots__ = ("distinguisher", "entropy", "headers", "level", "schema", "tally")

    def __init__(self, schema: FlowSchema, level: Level, distinguisher: str) -> None:
        self.schema, self.level, self.distinguisher = schema, level, distinguisher
        self.tally: SchemaTally = level.tally(schema.metadata.name)
        self.entropy = flow_hash(schema.metadata.name, distinguisher) if level.queuing.queues > 1 else 0
        self.headers: Headers = [(b"x-kubernetes-pf-flowschema-uid", schema.metadata.uid.encode()),
                                 (b"x-kubernetes-pf-prioritylevel-uid", level.uid.encode())]


class FlowControl:
    """One for all requests of a server."""

    def __init__(self, readers: Readers, world: World, clock: AsyncClock, tasks: Tasks, settings: FlowSettings = FlowSettings()) -> None:
        self._schemas, self._configs = readers.of(FLOW_SCHEMAS), readers.of(PRIORITY_LEVEL_CONFIGURATIONS)
        self._world, self._clock, self._tasks = world, clock, tasks
        self._monotonic = clock.monotonic
        self.levels = Levels(settings.reads + settings.writes, mandatory_objects())
        self.wanted: list[Dangling] = []
        """Conditions of schemas that should be written."""
        self.executing = {False: 0, True: 0}
        self.high = {False: 0, True: 0}
        """Most at a time since somebody asked, of reads and writes."""
        self._flows: dict[Any, Flow] = {}
        self._known: dict[tuple[str, str], Flow] = {}
        self._seen = (-1, -1)
        self._timers: dict[str, asyncio.Task[None]] = {}
        self.refresh()

    # -- a request's way --------------------------------------------------------------------------------------

    def enter(self, info: RequestInfo) -> Ticket | None:
        """A seat for the request, or a place in a queue (`waiting`), or None: `refusal` is its answer."""
        if self._seen != (self._schemas.generation, self._configs.generation):
            self.refresh()
        flow = self._flow(info)
        info.flow_headers = flow.headers
        level, tally = flow.level, flow.tally
        work = ONE_SEAT if info.verb == "get" or not info.is_resource else self._work(info, level, tally)
        if work is ONE_SEAT:
            tally.narrow += 1
        else:
            tally.widths.observe(work.seats)
        queues = level.set
        ticket = queues.start(tally, flow.entropy, flow.distinguisher, self._monotonic(), work)
        if queues.woken:
            self._wake(level)
        if ticket is None:
            if level.quiescing and queues.idle:
                self._seen = (-1, -1)
            return None
        ticket.level, ticket.about = level, info
        if ticket.state == EXECUTING:
            if not level.exempt:
                tally.at_once += 1
            self._noted(ticket)
        return ticket

    def refusal(self, info: RequestInfo) -> Answer:
        """What a client is told that is turned away."""
        level = self._flow(info).level
        return too_many(level.dropped.drop(self._monotonic()))

    @staticmethod
    def waits(ticket: Ticket) -> bool:
        """Whether `turn` must be awaited first."""
        return ticket.state == WAITING

    async def turn(self, ticket: Ticket) -> bool:
        """Wait for the request's turn; whether it came before its time was over."""
        if ticket.state == WAITING:
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            ticket.wake = future
            timer = self._tasks.start(self._give_up(ticket), "queue wait limit", keep_going=True)
            self._set_timer(ticket.level)
            try:
                await future
            except asyncio.CancelledError:
                self._abandon(ticket)
                raise
            finally:
                timer.cancel()
        came = ticket.state == EXECUTING
        tally: SchemaTally = ticket.tally
        (tally.waited if came else tally.waited_in_vain).observe(self._monotonic() - ticket.arrived)
        if came:
            self._noted(ticket)
        return came

    def leave(self, ticket: Ticket) -> None:
        """The request is done (a watch: has been given what there was when it began). Again: nothing happens."""
        if ticket.state != EXECUTING:
            return
        level: Level = ticket.level
        now = self._monotonic()
        info: RequestInfo = ticket.about
        self.executing[info.verb not in NOT_MUTATING] -= 1
        tally = ticket.tally
        (tally.watching if info.verb == "watch" else tally.executions).observe(now - ticket.started)
        queues = level.set
        queues.finish(ticket, now)
        if queues.full:  # before the ten seconds are over: many wait, ever other numbers of them
            level.fold(now)
        if queues.waiting:
            self._set_timer(level)
        if queues.woken:
            self._wake(level)
        if level.quiescing and queues.idle:
            self._seen = (-1, -1)  # nothing holds it any longer

    # -- what is in force -------------------------------------------------------------------------------------

    def refresh(self) -> bool:
        """Read the objects if they have changed; whether they had."""
        seen = (self._schemas.generation, self._configs.generation)
        if seen == self._seen:
            return False
        self._seen = seen
        configs: list[PriorityLevelConfiguration] = [entry.object for entry in self._configs.entries()]
        schemas: list[FlowSchema] = [entry.object for entry in self._schemas.entries()]
        self.wanted = self.levels.digest(configs, schemas, self._monotonic())
        self._flows.clear()
        self._known.clear()
        self._wake_all()
        return True

    def adjust(self) -> None:
        """Lend and borrow seats among levels; every ten seconds."""
        self.levels.adjust(self._monotonic())
        self._wake_all()

    def dump(self, what: str, *, details: bool = False) -> str | None:
        """One of the debugging pages; None: there is no such one."""
        return dump.dump(what, self.levels.by_name.values(), monotonic=self._monotonic(), now=self._clock.now(), details=details)

    def fold(self) -> None:
        """Bring the histograms of all levels up to date."""
        for level in self.levels.by_name.values():
            level.fold(self._monotonic())

    def _flow(self, info: RequestInfo) -> Flow:
        user = info.user
        if info.is_resource:
            key: Any = (user.name, user.groups, info.verb, info.group, info.resource, info.subresource, info.namespace)
        else:
            key = (user.name, user.groups, info.verb, info.path)
        flow = self._flows.get(key)
        if flow is None:
            if len(self._flows) >= MOST_FLOWS:
                self._flows.clear()
                self._known.clear()
            flow = self._flows[key] = self._classify(info)
        return flow

    def _classify(self, info: RequestInfo) -> Flow:
        schema = next((schema for schema in self.levels.schemas if rules.matches(info, schema)), None)
        if schema is None:  # a user who is neither authenticated nor unauthenticated
            schema = next(schema for schema in self.levels.schemas if schema.metadata.name == CATCH_ALL_NAME)
        level = self.levels.by_name[schema.spec.priorityLevelConfiguration.name]
        distinguisher = rules.distinguisher(info, schema.spec) if level.queuing.queues > 1 else ""
        key = (schema.metadata.name, distinguisher)
        return self._known.get(key) or self._known.setdefault(key, Flow(schema, level, distinguisher))

    def _work(self, info: RequestInfo, level: Level, tally: SchemaTally) -> Work:
        verb = info.verb
        if verb in ("list", "watch"):
            query = info.query
            revision = first(query, "resourceVersion")
            if verb == "watch" and revision not in ("", "0") and not truth(query, "sendInitialEvents"):
                return ONE_SEAT
            stored = self._world.stored(info)
            return ONE_SEAT if stored is None else list_work(asked_of(info, revision), stored, level.most_seats)
        if verb in ("create", "update", "patch", "delete"):
            if info.resource == "serviceaccounts" and info.subresource == "token":
                return ONE_SEAT
            watchers = self._world.watchers(info)
            tally.watchers.observe(watchers)
            return mutating_work(watchers, level.most_seats)
        return ONE_SEAT

    # -- those who wait ---------------------------------------------------------------------------------------

    def _noted(self, ticket: Ticket) -> None:
        ticket.tally.dispatched += 1
        mutating = ticket.about.verb not in NOT_MUTATING
        number = self.executing[mutating] = self.executing[mutating] + 1
        self.high[mutating] = max(self.high[mutating], number)

    async def _give_up(self, ticket: Ticket) -> None:
        limit = wait_seconds(ticket.about)
        await self._clock.sleep(limit - (self._monotonic() - ticket.arrived))
        if ticket.state == WAITING:
            self._cancel(ticket)
            ticket.wake.set_result(None)

    def _abandon(self, ticket: Ticket) -> None:
        """The client has gone while it waited."""
        if ticket.state == WAITING:
            self._cancel(ticket)
        elif ticket.state == EXECUTING:  # its turn had come at this very moment
            self._noted(ticket)
            self.leave(ticket)

    def _cancel(self, ticket: Ticket) -> None:
        level: Level = ticket.level
        level.set.cancel(ticket, self._monotonic())
        self._wake(level)
        if level.quiescing and level.set.idle:
            self._seen = (-1, -1)

    def _wake(self, level: Level) -> None:
        for ticket in level.set.take_dispatched():
            future = ticket.wake
            if future is not None and not future.done():
                future.set_result(None)

    def _wake_all(self) -> None:
        for level in self.levels.by_name.values():
            self._wake(level)
            self._set_timer(level)

    def _set_timer(self, level: Level) -> None:
        """Seats that become free by themselves must be noticed."""
        release = level.set.next_release
        if release is not None and level.name not in self._timers:
            self._timers[level.name] = self._tasks.start(self._release(level, release), f"seats of {level.name}", keep_going=True)

    async def _release(self, level: Level, at: float) -> None:
        await self._clock.sleep(at - self._monotonic())
        del self._timers[level.name]
        level.set.advance(self._monotonic())
        self._wake(level)
        self._set_timer(level)


def wait_seconds(info: RequestInfo) -> float:
    """How long a request may wait in its queue: a quarter of the time that it has altogether."""
    seconds = REQUEST_SECONDS
    if info.verb != "watch":
        seconds = min(go_seconds(first(info.query, "timeout")) or REQUEST_SECONDS, REQUEST_SECONDS)
    return seconds / 4


def go_seconds(text: str) -> float:
    """A plain duration as clients write it in `timeout=`: `30s`, `1m30s`, `500ms`; 0: none, or none that can be read."""
    total, rest = 0.0, text
    for unit, seconds in (("h", 3600.0), ("m", 60.0), ("s", 1.0), ("ms", 0.001)):
        number, found, after = rest.partition(unit)
        if found and number.isascii() and number.replace(".", "", 1).isdigit() and not (unit == "m" and after.startswith("s")):
            total, rest = total + float(number) * seconds, after
    return 0.0 if rest else total


def asked_of(info: RequestInfo, revision: str) -> Asked:
    """What a list asks for; `from_cache` as upstream's watch cache would answer it."""
    query = info.query
    if not query:
        return EVERYTHING if not info.name else ONE
    limit = first(query, "limit")
    match = first(query, "resourceVersionMatch")
    from_cache = info.verb == "watch" or not (
        first(query, "continue") or match == "Exact" or (limit not in ("", "0") and revision not in ("", "0") and not match))
    return Asked(single=bool(info.name or info.selected_name), limit=int(limit) if limit.isascii() and limit.isdigit() and len(limit) < 19 else 0,
                 selective=bool(first(query, "labelSelector") or first(query, "fieldSelector")), from_cache=from_cache)


def mandatory_objects() -> list[FlowSchema | PriorityLevelConfiguration]:
    """The objects that are in force even before, or after, they are there."""
    exempt = PriorityLevelConfigurationSpec(
        type="Exempt", exempt=ExemptPriorityLevelConfiguration(nominalConcurrencyShares=0, lendablePercent=0))
    return [PriorityLevelConfiguration(metadata=ObjectMeta(name=EXEMPT_NAME), spec=exempt),
            PriorityLevelConfiguration(metadata=ObjectMeta(name=CATCH_ALL_NAME), spec=mandatory.CATCH_ALL_LEVEL),
            *(FlowSchema(metadata=ObjectMeta(name=name), spec=spec) for name, spec in mandatory.FLOW_SCHEMAS.items())]
