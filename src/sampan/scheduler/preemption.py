"""DefaultPreemption: which pods to remove so that a more important one fits. Pure.

The rows where removing pods may help are tried in order until enough candidates are found; on each, all less important
pods are taken away and as many as possible let back in, the most important first, those under a budget before the
others. The answer for a row is remembered until the row changes, so that of many preemptors that ask for as much only
the first looks everywhere. Source: `plugins/defaultpreemption`, `framework/preemption`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from operator import attrgetter

import numpy as np
import numpy.typing as npt

from sampan.api.core.v1 import Pod
from sampan.api.policy.v1 import PodDisruptionBudget
from sampan.api.resources import POD_DISRUPTION_BUDGETS
from sampan.api.selectors import SelectorError, of_label_selector
from sampan.scheduler.cycle import CLAIMS, Profile, Refused, run_filters
from sampan.scheduler.dra.extended import LEFT_OVER
from sampan.scheduler.room import emptied
from sampan.scheduler.shape import Shape
from sampan.scheduler.snapshot import Assigned, Float, Mask, Snapshot

FAR = 2**31
NOT_YET, NOTHING, VIOLATING, CLEAN = -1, 0, 1, 2
"""What is known of a row: nothing yet; that nothing helps there; a candidate that breaks a budget, or none."""
MOST_REMEMBERED = 64
BLOCK = 64
NEVER = datetime(9999, 1, 1, tzinfo=UTC).timestamp()
NO_VICTIMS = "No preemption victims found for incoming pod"
NONE_LEFT = "no candidate node for preemption"
NOT_HELPFUL = "Preemption is not helpful for scheduling"


@dataclass(frozen=True)
class Candidate:
    """A row and what has to go there, the most important first."""

    row: int
    victims: tuple[Assigned, ...]
    violations: int = 0

    @cached_property
    def rank(self) -> tuple[int, int, int, int, float]:
        """The smallest is the best."""
        priorities = [one.shape.priority for one in self.victims]
        highest = max(priorities)
        started = min(start_of(one.pod) for one in self.victims if one.shape.priority == highest)
        return self.violations, highest, sum(one + FAR for one in priorities), len(priorities), -started


RANK = attrgetter("rank")
Rows = np.ndarray[tuple[int], np.dtype[np.intp]]


@dataclass(frozen=True)
class NoCandidate:
    """Preemption cannot help: why, in upstream's words; `keeps` the nomination that the pod has."""

    message: str
    keeps: bool = False


@dataclass
class Attempt:
    """One pod's search."""

    pod: Shape
    snapshot: Snapshot
    profile: Profile
    budgets: Sequence[PodDisruptionBudget] = field(default_factory=tuple)


def preempt(pod: Pod, shape: Shape, refused: Refused, snapshot: Snapshot, profile: Profile, nominated: int = -1) -> Candidate | NoCandidate:
    """The best candidate, or why there is none. `nominated`: the row that the pod waits for already."""
    found = _found(pod, shape, refused, snapshot, profile, nominated)
    return found if isinstance(found, NoCandidate) else found[0].best(found[1])


def candidates(pod: Pod, shape: Shape, refused: Refused, snapshot: Snapshot, profile: Profile, nominated: int = -1) -> list[Candidate] | NoCandidate:
    """The candidates, at least one, or why there is none."""
    found = _found(pod, shape, refused, snapshot, profile, nominated)
    return found if isinstance(found, NoCandidate) else [found[0].candidate(row) for row in found[1].tolist()]


def _found(pod: Pod, shape: Shape, refused: Refused, snapshot: Snapshot, profile: Profile, nominated: int) -> tuple[Remembered, Rows] | NoCandidate:
    if pod.spec.preemptionPolicy == "Never":
        return NoCandidate("not eligible due to preemptionPolicy=Never.", keeps=True)
    assert refused.hopeful is not None
    if nominated >= 0 and refused.hopeful[nominated] and any(
            one.shape.priority < shape.priority and _being_preempted(one.pod) for one in snapshot.pods_on[nominated].values()):
        return NoCandidate("not eligible due to a terminating pod on the nominated node.", keeps=True)
    attempt = Attempt(shape, snapshot, profile, tuple(snapshot.world.items(POD_DISRUPTION_BUDGETS)))
    hopeful = int(np.count_nonzero(refused.hopeful))
    if not _intricate(attempt):  # only where it fits once all less important pods are gone
        known, found, _ = _search(attempt, np.flatnonzero(refused.hopeful & _most_room(attempt)), hopeful)
        if len(found):
            return known, found
    known, found, reasons = _search(attempt, np.flatnonzero(refused.hopeful), hopeful)
    if len(found):
        return known, found
    reasons[NOT_HELPFUL] = len(snapshot) - hopeful
    said = ", ".join(sorted(f"{count} {text}" for text, count in reasons.items() if count))
    return NoCandidate(f"0/{len(snapshot)} nodes are available: {said}.")


def aftermath(refused: Refused, profile: Profile, wants_claims: bool, outcome: NoCandidate | None, *, deallocated: bool = False) -> str:
    """The end of the message: what the plugins that come after filtering have to say. `deallocated`: a claim gives its devices back."""
    said = []
    if any(one.name == CLAIMS for one in profile.filters):
        if refused.unread:
            return " not found"
        if any(text == LEFT_OVER for text, _ in refused.reasons):
            said.append("deletion of ResourceClaim completed")
        elif deallocated:
            said.append("deallocation of ResourceClaim completed")
        else:
            said.append("still not schedulable" if wants_claims and not refused.rejected else "no new claims to deallocate")
    if outcome is not None:
        said.append(f"preemption: {outcome.message}")
    return f" {', '.join(said)}" if said else ""


def start_of(pod: Pod) -> float:
    """When it started; a pod that has not (said so) starts now, which is later than any."""
    return pod.status.startTime.moment().timestamp() if pod.status.startTime is not None else NEVER


def _being_preempted(pod: Pod) -> bool:
    if pod.metadata.deletionTimestamp is None:
        return False
    return any(one.type == "DisruptionTarget" and one.status == "True" and one.reason == "PreemptionByScheduler" for one in pod.status.conditions)


def _intricate(attempt: Attempt) -> bool:
    """Whether something else than resources may depend on who is removed."""
    return attempt.snapshot.is_intricate(attempt.pod) or bool(attempt.snapshot.index.anti)


def _most_room(attempt: Attempt) -> Mask:
    """bool[N]: the pod's resources are free once every less important pod is gone."""
    snapshot, pod = attempt.snapshot, attempt.pod
    wanted = [(snapshot.column(name), amount) for name, amount in pod.requests.items() if amount > 0]
    room = emptied(snapshot, pod.priority)
    fits: Mask = room[3] >= 1
    for index, amount in wanted:
        fits &= room[index] >= amount
    return fits


class Remembered:
    """What was found on each row for pods of one priority that ask for the same; it holds until the row changes.

    Where a row has a candidate, its `Candidate.rank` stands in columns: the best of hundreds is found without looking at each.
    """

    def __init__(self, rows: int) -> None:
        self._moment = -1
        self.states = np.full(rows, NOT_YET, np.int8)
        self.ranks: Float = np.zeros((5, rows), np.float64)  # whole numbers that a float holds exactly, but for the last
        self.found: list[Candidate | tuple[str, ...]] = [()] * rows

    def brought_up(self, snapshot: Snapshot) -> Remembered:
        """Forget what was found on rows that have changed since this was asked for."""
        changed = snapshot.touched_since(self._moment)
        if changed is None:
            self.states[:] = NOT_YET
        elif changed:
            self.states[changed] = NOT_YET
        self._moment = snapshot.moment
        return self

    def put(self, row: int, found: Candidate | tuple[str, ...]) -> int:
        """Keep what was found; the row's state."""
        self.found[row] = found
        if isinstance(found, Candidate):
            self.ranks[:, row] = found.rank
            state = VIOLATING if found.violations else CLEAN
        else:
            state = NOTHING
        self.states[row] = state
        return state

    def candidate(self, row: int) -> Candidate:
        """The candidate of a row that has one."""
        found = self.found[row]
        assert isinstance(found, Candidate)
        return found

    def reasons(self, row: int) -> tuple[str, ...]:
        """Why nothing helps on a row that has no candidate."""
        found = self.found[row]
        return () if isinstance(found, Candidate) else found

    def best(self, rows: Rows) -> Candidate:
        """The first of those with the smallest rank; `rows` are rows with candidates, at least one."""
        for rank in self.ranks:
            values = rank[rows]
            rows = rows[values == values.min()]
        return self.candidate(int(rows[0]))


def _remembered(attempt: Attempt) -> Remembered:
    """What is known of rows. Where only resources count, it is the same for all pods that ask for as much."""
    snapshot, pod = attempt.snapshot, attempt.pod
    rows = len(snapshot.alive)
    if _intricate(attempt):
        return Remembered(rows)
    version = (rows, snapshot.world.version(POD_DISRUPTION_BUDGETS))
    known = snapshot.memory.get("preemption")
    if known is None or known[0] != version:
        known = snapshot.memory["preemption"] = (version, {})
    tables: dict[tuple[int, frozenset[tuple[str, int]]], Remembered] = known[1]
    wanted = (pod.priority, frozenset(pod.requests.items()))
    found = (tables.pop(wanted, None) or Remembered(rows)).brought_up(snapshot)
    tables[wanted] = found  # the last are those that were used last
    if len(tables) > MOST_REMEMBERED:
        del tables[next(iter(tables))]
    return found


def _search(attempt: Attempt, rows: Rows, hopeful: int) -> tuple[Remembered, Rows, Counter[str]]:
    """Look at rows in order until there are enough candidates, a clean one among them: those rows, or why there are none.

    Source: `framework/preemption/preemption.go`, `DryRunPreemption`.
    """
    percent, least = attempt.profile.candidates
    enough = min(max(hopeful * percent // 100, least), hopeful)
    known, with_one = _remembered(attempt), rows[:0]
    clean = 0
    for start in range(0, len(rows), step := enough + BLOCK):  # most often the first so many are enough
        block = rows[start:start + step]
        states = _states(attempt, known, block, clean, enough - len(with_one))
        cleans, some = clean + np.cumsum(states == CLEAN), len(with_one) + np.cumsum(states > NOTHING)
        reached = (cleans > 0) & (some >= enough)
        done = bool(reached[-1])
        end = int(reached.argmax()) + 1 if done else len(block)
        with_one = np.concatenate([with_one, block[:end][states[:end] > NOTHING]])
        if done:
            break
        clean = int(cleans[-1])
    reasons: Counter[str] = Counter()
    if not len(with_one):
        for row in rows.tolist():
            reasons.update(known.reasons(row))
    return known, with_one, reasons


def _states(attempt: Attempt, known: Remembered, rows: Rows, clean: int, missing: int) -> npt.NDArray[np.int8]:
    """What is known of these rows. Those that are not known are looked at, in order, until there is a clean candidate and none is missing."""
    states = known.states[rows]
    unknown = np.flatnonzero(states == NOT_YET).tolist()
    if unknown:
        cleans, some = clean + np.cumsum(states == CLEAN), np.cumsum(states > NOTHING)
        more_clean = more = 0
        for place in unknown:
            if cleans[place] + more_clean and some[place] + more >= missing:
                break
            row = int(rows[place])
            found = _on_row(attempt, row)
            states[place] = state = known.put(row, found)
            more_clean, more = more_clean + (state == CLEAN), more + (state > NOTHING)
    return states


def _on_row(attempt: Attempt, row: int) -> Candidate | tuple[str, ...]:
    """What has to go from one row, or why nothing helps there."""
    pod, snapshot = attempt.pod, attempt.snapshot
    lower = [one for one in snapshot.pods_on[row].values() if one.shape.priority < pod.priority]
    if not lower:
        return (NO_VICTIMS,)
    lower.sort(key=lambda one: (-one.shape.priority, start_of(one.pod)))
    violating = _violating(lower, attempt.budgets)
    order = sorted(lower, key=lambda one: one.pod.metadata.uid not in violating)  # stable: importance within
    room = _Room(attempt, row) if _intricate(attempt) else _Free(attempt, row)
    room.empty(lower)
    try:
        if (reasons := room.refuses()) is not None:
            return reasons
        victims = []
        for one in order:
            room.add(one)
            if room.refuses() is not None:
                room.remove(one)
                victims.append(one)
    finally:
        room.restore()
    victims.sort(key=lambda one: (-one.shape.priority, start_of(one.pod)))
    if not victims:
        return (NO_VICTIMS,)
    return Candidate(row, tuple(victims), sum(one.pod.metadata.uid in violating for one in victims))


class _Free:
    """The room on a row where nothing but resources stands in the way: plain numbers."""

    def __init__(self, attempt: Attempt, row: int) -> None:
        pod, snapshot = attempt.pod, attempt.snapshot
        self._wanted = {**{name: amount for name, amount in pod.requests.items() if amount > 0}, "pods": 1}
        self._free = {}
        for name in self._wanted:
            index = snapshot.column(name)
            free = int(snapshot.allocatable[index, row] - snapshot.requested[index, row])
            free -= sum(int(level[index, row]) for priority, level in snapshot.levels.items() if priority >= pod.priority)
            self._free[name] = free

    def empty(self, pods: Sequence[Assigned]) -> None:
        for one in pods:
            self.remove(one)

    def add(self, one: Assigned, sign: int = -1) -> None:
        for name in self._free:
            self._free[name] += sign * (1 if name == "pods" else one.shape.requests.get(name, 0))

    def remove(self, one: Assigned) -> None:
        self.add(one, 1)

    def refuses(self) -> tuple[str, ...] | None:
        short = [name for name, amount in self._wanted.items() if self._free[name] < amount]
        if not short:
            return None
        return tuple("Too many pods" if name == "pods" else f"Insufficient {name}" for name in short)

    def restore(self) -> None:
        """Nothing was changed."""


class _Room:
    """The room on a row where anything may stand in the way: pods are really taken out and the filters asked."""

    def __init__(self, attempt: Attempt, row: int) -> None:
        self._attempt, self._row = attempt, row
        self._out: dict[str, Assigned] = {}

    def empty(self, pods: Sequence[Assigned]) -> None:
        for one in pods:
            self.remove(one)

    def add(self, one: Assigned) -> None:
        self._attempt.snapshot.put_back((self._out.pop(one.pod.metadata.uid),))

    def remove(self, one: Assigned) -> None:
        self._out.update((found.pod.metadata.uid, found) for found in self._attempt.snapshot.take_out((one.pod.metadata.uid,)))

    def refuses(self) -> tuple[str, ...] | None:
        attempt = self._attempt
        found = run_filters(attempt.pod, attempt.snapshot, attempt.profile)
        if found.feasible[self._row]:
            return None
        return (found.rejected,) if found.rejected else tuple({reason.text: None for reason, rows in found.reasons if rows[self._row]})

    def restore(self) -> None:
        self._attempt.snapshot.put_back(self._out.values())
        self._out = {}


def _violating(pods: Sequence[Assigned], budgets: Sequence[PodDisruptionBudget]) -> set[str]:
    """The uids of pods whose removal, in this order, exceeds a budget."""
    out: set[str] = set()
    if not budgets:
        return out
    left = [one.status.disruptionsAllowed for one in budgets]
    for one in pods:
        meta = one.pod.metadata
        for index, budget in enumerate(budgets):
            if not meta.labels or budget.metadata.namespace != meta.namespace or meta.name in budget.status.disruptedPods:
                continue
            if _selects(budget, meta.labels):
                left[index] -= 1
                if left[index] < 0:
                    out.add(meta.uid)
    return out


def _selects(budget: PodDisruptionBudget, labels: dict[str, str]) -> bool:
    try:
        selector = of_label_selector(budget.spec.selector)
    except SelectorError:
        return False
    return not selector.empty and bool(selector.matches(labels))
