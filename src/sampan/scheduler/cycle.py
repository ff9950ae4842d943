"""One scheduling cycle: a pod's shape and the columns in, a node or the reasons out. Pure.

Source: kube-scheduler `schedule_one.go`, `framework/types.go` (FitError).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from sampan.scheduler.kept import kept
from sampan.scheduler.plugins.base import Narrowed, Plugin, Reason, Rejected
from sampan.scheduler.shape import Shape
from sampan.scheduler.snapshot import Float, Mask, Rows, Snapshot

CLAIMS = "DynamicResources"


@dataclass(frozen=True)
class Waits:
    """How many seconds a pod waits before it is bound: for its volumes, for its devices."""

    volume_seconds: float = 600.0
    device_seconds: float = 600.0


@dataclass(frozen=True, eq=False)
class Profile:
    """A scheduler's plugins and weights under its name.

    `candidates`: preemption looks at so many percent of the nodes that may help, and at so many at least.
    """

    name: str
    filters: Sequence[Plugin]
    scores: Sequence[tuple[Plugin, int]]
    preempts: bool = True
    candidates: tuple[int, int] = (10, 100)
    waits: Waits = Waits()

    @cached_property
    def scores_by_row(self) -> Sequence[tuple[Plugin, int]]:
        return [(one, weight) for one, weight in self.scores if one.by_row]

    @cached_property
    def other_scores(self) -> Sequence[tuple[Plugin, int]]:
        return [(one, weight) for one, weight in self.scores if not one.by_row]


@dataclass(frozen=True)
class Placed:
    """The pod goes to this row."""

    row: int


@dataclass(frozen=True)
class Refused:
    """No node fits: upstream's words, and which plugins said no.

    `hopeful`: the rows where removing pods may help. `unread`: a plugin before DynamicResources rejected the pod
    altogether, so that what follows has nothing to go by.
    """

    reasons: tuple[tuple[str, int], ...]
    total: int
    plugins: frozenset[str] = field(default=frozenset())
    hopeful: Mask | None = None
    rejected: str = ""
    unread: bool = False

    @property
    def message(self) -> str:
        """The reasons with their counts, without what preemption has to add."""
        if not self.total:
            return "no nodes available to schedule pods"
        said = self.rejected or ", ".join(sorted(f"{count} {text}" for text, count in self.reasons if count))
        return f"0/{self.total} nodes are available: {said}."


@dataclass(frozen=True)
class Filtered:
    """What is left of the rows, and why the others are not."""

    feasible: Mask
    reasons: Sequence[tuple[Reason, Mask]]
    plugins: frozenset[str]
    rejected: str = ""
    unread: bool = False


def schedule(pod: Shape, snapshot: Snapshot, profile: Profile, start: int = 0, nominated: int = -1) -> Placed | Refused:
    """Find the best node.

    Args:
        pod: What is to be placed.
        snapshot: Not changed (what is taken out for a moment is put back).
        profile: Which plugins to ask.
        start: Among equals the first row at or after this one wins, so that ties go round.
        nominated: The row that was nominated for the pod, which it takes if it fits there.
    """
    if not len(snapshot):
        return Refused((), 0)
    found = run_filters(pod, snapshot, profile)
    if not found.feasible.any():
        return refusal(found, snapshot)
    if nominated >= 0 and found.feasible[nominated]:
        return Placed(nominated)
    return Placed(best_row(pod, snapshot, profile, found.feasible, start))


def best_row(pod: Shape, snapshot: Snapshot, profile: Profile, feasible: Mask, start: int = 0, extra: Float | None = None) -> int:
    """The feasible row with the highest score; `extra` is float[N] on top of the plugins' scores.

    Raises:
        PluginError: They cannot be compared.
    """
    if np.count_nonzero(feasible) == 1:
        return int(feasible.argmax())
    total = scores(pod, snapshot, profile, feasible)
    if extra is not None:
        total += extra
    best = np.flatnonzero(feasible & (total == total.max(where=feasible, initial=-np.inf)))
    after = int(best.searchsorted(start))
    return int(best[after if after < len(best) else 0])


def scores(pod: Shape, snapshot: Snapshot, profile: Profile, feasible: Mask) -> Float:
    """float[N] of what the plugins say together, with their weights; meaningful where `feasible`.

    Raises:
        PluginError: They cannot be compared.
    """
    remembers = not snapshot.has_stand_ins(pod)
    total = _by_row(pod, snapshot, profile).copy() if remembers else np.zeros(len(snapshot.alive), np.float64)
    for plugin, weight in profile.other_scores if remembers else profile.scores:
        found = plugin.score(pod, snapshot, feasible)
        if found is not None:
            total += found if weight == 1 else weight * found
    return total


def _by_row(pod: Shape, snapshot: Snapshot, profile: Profile) -> Float:
    """float[N]: what the plugins say, with their weights, that look at one row at a time; shared, so read-only."""
    def made(rows: Rows) -> Float:
        total = np.zeros(len(snapshot.alive[rows]), np.float64)
        for plugin, weight in profile.scores_by_row:
            found = plugin.score_rows(pod, snapshot, rows)
            if found is not None:
                total += weight * found
        return total

    out: Float = kept(snapshot, "scores", (profile, pod.amounts), made)
    return out


def refusal(found: Filtered, snapshot: Snapshot) -> Refused:
    """What to say when no row is left."""
    counts: Counter[str] = Counter()
    hopeless = ~snapshot.alive
    for reason, rows in found.reasons:
        counts[reason.text] += int(np.count_nonzero(rows))
        if not reason.resolvable:
            hopeless |= rows
    if found.rejected:
        hopeless[:] = True
    return Refused(tuple(counts.items()), len(snapshot), found.plugins, ~hopeless, found.rejected, found.unread)


def run_filters(pod: Shape, snapshot: Snapshot, profile: Profile) -> Filtered:
    """Ask the filters, with the pods counted in for which room is kept on some row."""
    asked = snapshot.nominated if snapshot.is_intricate(pod) or snapshot.index.anti else snapshot.intricate
    kept = [uid for uid in asked if snapshot.nominated[uid].shape.priority >= pod.priority]
    if not kept:
        return _filter(pod, snapshot, profile)
    with _as_if_there(snapshot, kept):
        found = _filter(pod, snapshot, profile)
    # it must fit whether they come or not: what it wants to be near may be one of them
    again = _filter(pod, snapshot, profile)
    if not found.feasible.any():
        return found if again.feasible.any() or again.rejected else again
    return Filtered(found.feasible & again.feasible, [*found.reasons, *again.reasons], found.plugins | again.plugins)


@contextmanager
def _as_if_there(snapshot: Snapshot, uids: Sequence[str]) -> Iterator[None]:
    gone = [one for uid in uids if (one := snapshot.unnominate(uid)) is not None]
    for one in gone:
        snapshot.assume(one.pod, one.shape, one.row)
    try:
        yield
    finally:
        for one in gone:
            snapshot.remove_pod(one.pod.metadata.uid)
            snapshot.nominate(one.pod, one.shape, one.row)


def _filter(pod: Shape, snapshot: Snapshot, profile: Profile) -> Filtered:
    """The feasible rows; each reason with the rows that it is the first to exclude; the plugins that excluded any."""
    feasible, reasons, plugins, rejected = _static(pod, snapshot, profile)
    if rejected:
        return Filtered(feasible, (), frozenset(plugins), rejected, unread=True)
    feasible, reasons, plugins = feasible.copy(), list(reasons), set(plugins)
    for place, plugin in enumerate(profile.filters):
        if plugin.static:
            continue
        verdict = plugin.prefilter(pod, snapshot)
        if isinstance(verdict, Rejected):
            unread = any(one.name == CLAIMS for one in profile.filters[place + 1:])
            return Filtered(np.zeros_like(feasible), (), frozenset((plugin.name,)), verdict.message, unread)
    for plugin in profile.filters:
        if not plugin.static and (said := plugin.filter(pod, snapshot)) is not None:
            lost = feasible & ~said.fits
            if lost.any():
                plugins.add(plugin.name)
                reasons += [(reason, lost & reason.rows) for reason in said.reasons]
                feasible &= said.fits
    return Filtered(feasible, reasons, frozenset(plugins))


_Static = tuple[Mask, Sequence[tuple[Reason, Mask]], set[str], str]


def _static(pod: Shape, snapshot: Snapshot, profile: Profile) -> _Static:
    """What the plugins say that look at nodes alone, remembered until a node changes. They come first in every profile."""
    known = pod.cache.get(profile)
    if known is not None and known[0] == snapshot.generation:
        found: _Static = known[1]
        return found
    made = _ask_static(pod, snapshot, profile)
    pod.cache[profile] = (snapshot.generation, made)
    return made


def _ask_static(pod: Shape, snapshot: Snapshot, profile: Profile) -> _Static:
    feasible = snapshot.alive.copy()
    reasons: list[tuple[Reason, Mask]] = []
    plugins: set[str] = set()
    static = [plugin for plugin in profile.filters if plugin.static]
    for plugin in static:
        verdict = plugin.prefilter(pod, snapshot)
        if isinstance(verdict, Rejected):
            return np.zeros_like(feasible), (), {plugin.name}, verdict.message
        if isinstance(verdict, Narrowed):
            lost = feasible & ~verdict.rows
            if lost.any():
                plugins.add(plugin.name)
                reasons.append((Reason(f"node(s) didn't satisfy plugin(s) [{plugin.name}]", lost, resolvable=False), lost))
                feasible &= verdict.rows
    for plugin in static:
        said = plugin.filter(pod, snapshot)
        if said is not None and (lost := feasible & ~said.fits).any():
            plugins.add(plugin.name)
            reasons += [(reason, lost & reason.rows) for reason in said.reasons]
            feasible &= said.fits
    return feasible, reasons, plugins, ""
