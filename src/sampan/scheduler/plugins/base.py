"""The contract of a plugin. Pure: a pod's shape and the columns in, arrays out.

Source: kube-scheduler `framework/interface.go` (Filter, Score, NormalizeScore), for all nodes in one call.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from sampan.scheduler.snapshot import Float, Mask, PodShape, Snapshot


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


class Filter(Protocol):
    """Says which nodes a pod can run on."""

    name: str

    def filter(self, pod: PodShape, snapshot: Snapshot) -> Verdict | None:
        """None: nothing to say about this pod, every node fits."""
        ...


class Score(Protocol):
    """Says which nodes are better: 0 to 100."""

    name: str

    def score(self, pod: PodShape, snapshot: Snapshot, feasible: Mask) -> Float | None:
        """float[N], meaningful where `feasible`; None: no preference."""
        ...
