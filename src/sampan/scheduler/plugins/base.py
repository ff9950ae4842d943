"""The contract of a plugin. Pure: a pod's shape and the columns in, arrays out.

A plugin overrides what it has something to say about. What it remembers about a shape goes into `shape.cache` under a
key of its own, together with the generation of the columns that it depends on.
Source: kube-scheduler `framework/interface.go` (PreFilter, Filter, Score, NormalizeScore, EventsToRegister), for all
nodes in one call.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sampan.scheduler.shape import Shape
from sampan.scheduler.snapshot import Float, Mask, Rows, Snapshot
from sampan.scheduler.world import What


@dataclass(frozen=True)
class Change:
    """Something in the cluster is different now, and may help a pod that waits.

    `row`: the node that changed. `pod`: the shape of an assigned pod that came, changed or went; `promised`: it was to come,
    and room was kept for it. `key`: (namespace, name) of any other object. `before`: what was there before (a node, a
    shape, an object), None for what is new. `kept`: room on the row is kept for the very pod that is asked about;
    `held`: on that row or on another.
    """

    what: What
    row: int = -1
    pod: Shape | None = None
    key: tuple[str, str] = ("", "")
    kept: bool = False
    held: bool = False
    promised: bool = False
    before: Any = field(default=None, compare=False, repr=False)

    def retainted(self, snapshot: Snapshot) -> bool:
        """A node that was there has other taints, or is not cordoned any more."""
        if self.before is None:
            return False
        was, now = self.before.spec, snapshot.node(self.row).spec
        return bool(was.taints != now.taints or (was.unschedulable and not now.unschedulable))

    def relabelled(self, snapshot: Snapshot) -> bool:
        """A node is new, or its labels are."""
        return self.before is None or self.before.metadata.labels != snapshot.node(self.row).metadata.labels


@dataclass(frozen=True)
class Reason:
    """Why some nodes do not fit: upstream's words, the rows, and whether removing pods could help there."""

    text: str
    rows: Mask
    resolvable: bool


@dataclass(frozen=True)
class Verdict:
    """`fits` is bool[N]; `reasons` tell about every row that does not (a row may have several)."""

    fits: Mask
    reasons: tuple[Reason, ...] = field(default=())


@dataclass(frozen=True)
class Rejected:
    """No node can do, whatever it looks like."""

    message: str


@dataclass(frozen=True)
class Narrowed:
    """Only these rows are worth looking at."""

    rows: Mask


class PluginError(Exception):
    """What the pod, or something it names, asks for cannot be read: it is not placed anywhere. The text is upstream's."""


class Plugin:
    """Says which nodes a pod can run on, and which are better."""

    name = ""
    static = False  # the filter depends on labels, taints and spec of nodes alone, so that its verdict is remembered
    events: frozenset[What] = frozenset()  # the changes that can make up for a refusal
    by_row = False  # the score of a row follows from what is on it, and from `Shape.amounts`: it is remembered until the row changes
    knows_taints = False  # of a change of taints `helps` decides; who does not know looks again, as upstream does

    def prefilter(self, pod: Shape, snapshot: Snapshot) -> Rejected | Narrowed | None:
        """None: every node is worth looking at."""
        return None

    def filter(self, pod: Shape, snapshot: Snapshot) -> Verdict | None:
        """None: nothing to say about this pod, every node fits.

        Raises:
            PluginError: There is no telling.
        """
        return None

    def score(self, pod: Shape, snapshot: Snapshot, feasible: Mask) -> Float | None:
        """float[N] of whole numbers 0 to 100, meaningful where `feasible`; None: no preference.

        Raises:
            PluginError: What the pod prefers cannot be read.
        """
        return self.score_rows(pod, snapshot, slice(None)) if self.by_row else None

    def score_rows(self, pod: Shape, snapshot: Snapshot, rows: Rows) -> Float | None:
        """`score` of some rows, where it goes `by_row`. Where devices stand behind what a pod asks for, nothing is remembered."""
        raise NotImplementedError

    def helps(self, change: Change, pod: Shape, snapshot: Snapshot) -> bool:
        """Whether a change of one of `events` may make up for this plugin's refusal of the pod."""
        if change.what == "node":
            verdict = self.filter(pod, snapshot)
            return verdict is None or bool(verdict.fits[change.row])
        return True
