"""The priority levels and flow schemas in force, made of the API objects; who gets how many of the server's seats.

Owns what becomes of a change: levels that appear, change, or are given up (they quiesce until their last request is
done), schemas that lead nowhere, the two of each that are always there. Pure: objects and the time go in.
Source: `k8s.io/apiserver/pkg/util/flowcontrol/apf_controller.go`.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sampan.api.flowcontrol.v1 import FlowSchema, PriorityLevelConfiguration
from sampan.apiserver.flowcontrol.allocation import Item, divide
from sampan.apiserver.flowcontrol.queueset import EXEMPT, REJECT, QueueSet, Queuing
from sampan.apiserver.flowcontrol.retryafter import Dropped
from sampan.apiserver.flowcontrol.tally import SchemaTally
from sampan.apiserver.flowcontrol.usage import Demand, Usage

log = logging.getLogger(__name__)

MOST_SEATS_SHARE = 0.15
EXEMPT_NAME, CATCH_ALL_NAME = "exempt", "catch-all"


class Level:
    """One priority level in force. `nominal`, `least`, `most` and `current` are numbers of seats."""

    set: QueueSet
    """Its seats and queues; there once seats have been divided."""

    def __init__(self, name: str) -> None:
        self.name, self.uid = name, ""
        self.queuing, self.exempt = Queuing(), False
        self.shares = 0
        self.lendable_percent = 0
        self.borrowing_percent: int | None = None
        self.nominal = self.least = self.most = self.current = 0
        self.target = 0.0
        self.most_seats = 0
        """Of one request; 0: no bound of the level's own."""
        self.quiescing = False
        self.demand, self.usage, self.dropped = Demand(), Usage(), Dropped()
        self.tallies: dict[str, SchemaTally] = {}
        self._period: dict[int, float] = {}

    @property
    def denominator(self) -> int:
        """What its use is measured against."""
        return max(self.current, 1)

    @property
    def room(self) -> int:
        """How many requests its queues hold."""
        return max(self.queuing.queues, 1) * max(self.queuing.length_limit, 1)

    def take(self, config: PriorityLevelConfiguration) -> None:
        """Be as the object says."""
        self.uid, self.quiescing = config.metadata.uid, False
        exempt, limited = config.spec.exempt, config.spec.limited
        if exempt is not None:
            self.shares, self.lendable_percent, self.borrowing_percent = exempt.nominalConcurrencyShares or 0, exempt.lendablePercent or 0, None
        elif limited is not None:
            shares = limited.nominalConcurrencyShares
            self.shares = 30 if shares is None else shares
            self.lendable_percent, self.borrowing_percent = limited.lendablePercent or 0, limited.borrowingLimitPercent
        self.queuing = queuing_of(config) or self.queuing
        self.exempt = self.queuing.queues == EXEMPT

    def tally(self, schema: str) -> SchemaTally:
        """What is counted of a schema's requests here."""
        found = self.tallies.get(schema)
        if found is None:
            found = self.tallies[schema] = SchemaTally(self.name, schema)
        return found

    def fold(self, now: float) -> None:
        """Take what the time was spent with into the histograms and this period's demand, and what was only counted."""
        for tally in self.tallies.values():
            tally.settle()
        spent = self.set.take_spent(now)
        self.usage.add(spent.items(), limit=self.denominator, room=self.room)
        period = self._period
        for (_, seats, _, asked), seconds in spent.items():
            period[seats + asked] = period.get(seats + asked, 0.0) + seconds

    def end_period(self, now: float) -> None:
        """What was wanted since the last time is what is lent and borrowed by."""
        self.fold(now)
        self.demand.update(self._period)
        self._period = {}


def queuing_of(config: PriorityLevelConfiguration) -> Queuing | None:
    """How a level treats requests without a seat; None for an object that contradicts itself."""
    spec = config.spec
    if (spec.type == "Limited") != (spec.limited is not None) or (spec.type == "Exempt") != (spec.exempt is not None):
        return None
    if (spec.type == "Exempt") != (config.metadata.name == EXEMPT_NAME):
        return None
    if spec.limited is None:
        return Queuing(EXEMPT)
    response = spec.limited.limitResponse
    if (response.type == "Reject") != (response.queuing is None):
        return None
    queuing = response.queuing
    if queuing is None:
        return Queuing(REJECT)
    if not 1 <= queuing.handSize <= queuing.queues:
        return None
    return Queuing(queuing.queues, queuing.handSize, queuing.queueLengthLimit)


@dataclass(frozen=True)
class Dangling:
    """What the condition `Dangling` of a schema should say."""

    schema: FlowSchema
    status: str
    reason: str
    message: str


class Levels:
    """All of them. `schemas` are in the order in which they are tried."""

    def __init__(self, seats: int, mandatory: Iterable[PriorityLevelConfiguration | FlowSchema]) -> None:
        """`seats` of the whole server; `mandatory`: the objects that are in force even when they are not there."""
        known = list(mandatory)
        self.seats = seats
        self._mandatory_levels = [one for one in known if isinstance(one, PriorityLevelConfiguration)]
        self._mandatory_schemas = {one.metadata.name: one for one in known if isinstance(one, FlowSchema)}
        self.by_name: dict[str, Level] = {}
        self.schemas: list[FlowSchema] = []
        self.fair_fraction = 0.0

    # -- the objects ------------------------------------------------------------------------------------------

    def digest(self, configs: Iterable[PriorityLevelConfiguration], schemas: Iterable[FlowSchema], now: float) -> list[Dangling]:
        """Be as the objects say from now on; what the conditions of the schemas should be, where they are not."""
        old, new = self.by_name, dict[str, Level]()
        for config in configs:
            name = config.metadata.name
            if queuing_of(config) is None:
                log.warning("priority level is left out: its object contradicts itself", extra={"level": name})
                continue
            new[name] = old.get(name) or Level(name)
            new[name].take(config)
        wanted = self._digest_schemas(schemas, new)
        mandatory = {config.metadata.name: config for config in self._mandatory_levels}
        for name, level in old.items():
            if name not in new and name not in mandatory and not level.set.idle:
                level.quiescing = True
                new[name] = level
        for name, config in mandatory.items():
            if name not in new:
                new[name] = old.get(name) or Level(name)
                new[name].take(config)
        self.by_name = dict(sorted(new.items()))
        self._divide_nominally(now)
        self._divide_currently(now)
        return wanted

    def _digest_schemas(self, schemas: Iterable[FlowSchema], levels: Mapping[str, Level]) -> list[Dangling]:
        good, wanted = [], []
        for schema in schemas:
            to = schema.spec.priorityLevelConfiguration.name
            if to in levels:
                good.append(schema)
            condition = _condition(schema, to, found=to in levels)
            if condition is not None:
                wanted.append(condition)
        good.sort(key=lambda schema: (schema.spec.matchingPrecedence, schema.metadata.name))
        names = {schema.metadata.name for schema in good}
        first, last = self._mandatory_schemas[EXEMPT_NAME], self._mandatory_schemas[CATCH_ALL_NAME]
        self.schemas = [*([] if EXEMPT_NAME in names else [first]), *good, *([] if CATCH_ALL_NAME in names else [last])]
        return wanted

    # -- seats ------------------------------------------------------------------------------------------------

    def _divide_nominally(self, now: float) -> None:
        total = sum(level.shares for level in self.by_name.values())
        for level in self.by_name.values():
            # rounded up: together they may be a few more than the server's
            level.nominal = math.ceil(self.seats * level.shares / total) if total else 0
            lendable = _round(level.nominal * level.lendable_percent / 100)
            borrowing = self.seats if level.borrowing_percent is None else _round(level.nominal * level.borrowing_percent / 100)
            level.least, level.most = level.nominal - lendable, level.nominal + borrowing
            level.most_seats = 0
            if level.queuing.queues > 0:
                level.most_seats = max(1, min(math.ceil(level.nominal * MOST_SEATS_SHARE), level.nominal // level.queuing.hand_size))
            if not hasattr(level, "set"):
                level.current = level.nominal - lendable // 2
                level.set = QueueSet(level.queuing, level.current, now)

    def adjust(self, now: float) -> None:
        """Lend and borrow by what each level could have used since the last time; every ten seconds."""
        self._divide_currently(now)

    def _divide_currently(self, now: float) -> None:
        for level in self.by_name.values():
            level.end_period(now)
        limited = [level for level in self.by_name.values() if not level.exempt]
        everything = sum(level.nominal for level in self.by_name.values())
        left = everything - sum(_floor(level) for level in self.by_name.values() if level.exempt)
        for level, seats in zip(limited, self._shares(limited, everything, left), strict=True):
            level.current = seats
        for level in self.by_name.values():
            if level.exempt:
                level.current = _floor(level)
            level.set.configure(level.queuing, level.current, now)

    def _shares(self, limited: list[Level], everything: int, left: int) -> list[int]:
        """`left`: what the exempt level does not use. Where it suffices, upstream divides everything all the same."""
        floors = [_floor(level) for level in limited]
        for level, floor in zip(limited, floors, strict=True):
            level.target = max(float(floor), level.demand.smoothed)
        least = sum(level.least for level in limited)
        self.fair_fraction = 0.0
        if left <= least:
            return [level.least for level in limited]
        if left <= sum(floors):
            part = (left - least) / (sum(floors) - least)
            return [level.least + _round((floor - level.least) * part) for level, floor in zip(limited, floors, strict=True)]
        items = [Item(level.target, float(floor), float(level.most)) for level, floor in zip(limited, floors, strict=True)]
        try:
            seats, self.fair_fraction = divide(everything, items)
        except ValueError as error:
            log.warning("the levels keep the seats that they have", extra={"why": str(error)})
            return [level.current for level in limited]
        return [_round(one) for one in seats]


def _floor(level: Level) -> int:
    """What a level has at least now: what it doesn't lend, and of the rest what it was about to use."""
    if level.exempt:
        return max(level.least, level.demand.high_watermark)
    return max(level.least, min(level.nominal, level.demand.high_watermark))


def _round(value: float) -> int:
    return math.floor(value + 0.5)


def _condition(schema: FlowSchema, to: str, *, found: bool) -> Dangling | None:
    start = f'This FlowSchema references the PriorityLevelConfiguration object named "{to}"'
    wanted = Dangling(schema, "False", "Found", f"{start} and it exists") if found else Dangling(
        schema, "True", "NotFound", f"{start} but there is no such object")
    for known in schema.status.conditions:
        if known.type == "Dangling" and (known.status, known.reason, known.message) == (wanted.status, wanted.reason, wanted.message):
            return None
    return wanted
