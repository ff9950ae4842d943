"""How many pods that a spread constraint means are in each domain: kept current pod by pod.

What is kept for a shape holds until nodes change (`Snapshot.generation`); after that it is counted anew.
Source: kube-scheduler `plugins/podtopologyspread/{common,filtering,scoring}.go` (what is counted where).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sampan.scheduler.nodeselect import wanted_rows
from sampan.scheduler.podindex import RowCounts
from sampan.scheduler.shape import Shape, Spread
from sampan.scheduler.snapshot import Float, Int64, Mask, Snapshot
from sampan.scheduler.taints import untolerated

HOSTNAME = "kubernetes.io/hostname"
MOST_KEPT = 128  # shapes; each takes some eight bytes a row and constraint
FEW = 64  # rows; more are looked at together


class Domains:
    """The domains of one constraint of one shape; the last is that of the rows without the label.

    `sums`: float[D+1] of the pods that count on the rows that count. `present`: bool[D+1], whether a row that counts is in the domain.
    """

    def __init__(self, one: Spread, pod: Shape, snapshot: Snapshot, among: Mask) -> None:
        self.spread, rows = one, len(snapshot.alive)
        column = snapshot.labels.get(one.topology_key)
        self.ids = column.ids if column is not None else np.full(rows, -1, np.intp)
        self._size = (len(column.values) if column is not None else 0) + 1
        self._counts = _counts(one, snapshot)
        self._seen = self._counts.array(rows).astype(np.int32)
        self._moment = snapshot.moment
        self._counted = _counted(one, pod, snapshot, among)
        self.sums: Float = np.roll(np.bincount(self.ids[self._counted] + 1, self._seen[self._counted], self._size).astype(np.float64, copy=False), -1)
        self.present: Mask = self._rows_in(self._counted) > 0
        self._judged: Mask = np.zeros(rows, np.bool_)
        self._judged_in: Int64 = np.zeros(self._size, np.int64)

    def brought_up(self, snapshot: Snapshot) -> bool:
        """Count what has changed since; whether that could be done."""
        touched = snapshot.touched_since(self._moment)
        if touched is None or _counts(self.spread, snapshot) is not self._counts:
            return False
        now = self._counts.array(len(self._seen))
        if len(touched) > FEW:
            self._count_anew(np.unique(touched), now)
        else:
            for row in touched:
                if (more := int(now[row]) - int(self._seen[row])):
                    self._seen[row] += more
                    if self._counted[row]:
                        self.sums[self.ids[row]] += more
        self._moment = snapshot.moment
        return True

    def _count_anew(self, rows: npt.NDArray[np.intp], now: Float) -> None:
        more = np.where(self._counted[rows], now[rows] - self._seen[rows], 0.0)
        np.add.at(self.sums, self.ids[rows], more)
        self._seen[rows] = now[rows]

    @property
    def has(self) -> Mask:
        """bool[N] of the rows with the label."""
        return self.ids >= 0

    def raw(self, judged: Mask) -> Float:
        """float[N], the less the better: how many pods are in a row's domain, weighed by how many domains these rows are in."""
        weight = np.log(self._how_many(judged) + 2)
        out: Float = self.sums * weight + (self.spread.max_skew - 1)
        out[-1] = 0.0
        return out[self.ids]

    def _how_many(self, judged: Mask) -> int:
        """Without the label is a domain, too."""
        changed: npt.NDArray[np.intp] = np.flatnonzero(judged ^ self._judged)
        if len(changed) > FEW:
            self._judged_in = self._rows_in(judged)
        else:
            for row in changed.tolist():
                self._judged_in[self.ids[row]] += 1 if judged[row] else -1
        if len(changed):
            self._judged = judged.copy()
        return int(np.count_nonzero(self._judged_in))

    def _rows_in(self, rows: Mask) -> Int64:
        return np.roll(np.bincount(self.ids[rows] + 1, minlength=self._size), -1)


class Hosts:
    """Where every node is a domain of its own, scores look at what runs on the node itself, whether its row counts or not."""

    def __init__(self, one: Spread, snapshot: Snapshot) -> None:
        self.spread, self._counts = one, _counts(one, snapshot)
        self.has: Mask = snapshot.has_label(one.topology_key)
        self._everywhere = bool(self.has[snapshot.alive].all())

    def brought_up(self, snapshot: Snapshot) -> bool:
        """As with `Domains`."""
        return _counts(self.spread, snapshot) is self._counts

    def raw(self, judged: Mask) -> Float:
        """As with `Domains`."""
        weight = np.log(int(np.count_nonzero(judged)) + 2)
        out: Float = self._counts.array(len(judged)) * weight
        out += self.spread.max_skew - 1
        return out if self._everywhere else np.where(self.has, out, 0.0)


class Spreading:
    """Some constraints of a shape, with their domains. `complete`: the rows that have all the labels, or all rows where that does not matter.

    `parts`: as the constraints are, those of hosts among them only where nodes are compared.
    """

    def __init__(self, pod: Shape, snapshot: Snapshot, spreads: tuple[Spread, ...], *, hard: bool, strict: bool) -> None:
        self._spreads, self._generation = spreads, snapshot.generation
        self.complete: Mask = snapshot.alive.copy()
        if strict:
            for one in spreads:
                self.complete &= snapshot.has_label(one.topology_key)
        self.parts: list[Domains | Hosts] = [
            Hosts(one, snapshot) if one.topology_key == HOSTNAME and not hard else Domains(one, pod, snapshot, self.complete) for one in spreads]

    def brought_up(self, snapshot: Snapshot, spreads: tuple[Spread, ...]) -> bool:
        """Count what has changed since; whether that could be done."""
        return self._generation == snapshot.generation and self._spreads is spreads and all(one.brought_up(snapshot) for one in self.parts)


def spreading(pod: Shape, snapshot: Snapshot, spreads: tuple[Spread, ...], *, hard: bool, strict: bool = True) -> Spreading:
    """Of a shape's constraints, kept as long as `spreads` is the same tuple. `strict`: rows without one of the labels do not count."""
    tables: dict[tuple[Shape, bool], Spreading] = snapshot.memory.setdefault("spreading", {})
    found = tables.pop((pod, hard), None)
    if found is None or not found.brought_up(snapshot, spreads):
        found = Spreading(pod, snapshot, spreads, hard=hard, strict=strict)
    tables[pod, hard] = found  # the last are those that were used last
    if len(tables) > MOST_KEPT:
        del tables[next(iter(tables))]
    return found


def _counts(one: Spread, snapshot: Snapshot) -> RowCounts:
    return snapshot.index.counter((one.term,), live=True)


def _counted(one: Spread, pod: Shape, snapshot: Snapshot, rows: Mask) -> Mask:
    """The rows of `rows` that the constraint's policies count."""
    if one.honor_affinity and (wanted := wanted_rows(pod, snapshot)) is not None:
        rows = rows & wanted
    if one.honor_taints:
        rows = rows & ~untolerated(pod, snapshot)
    return rows
