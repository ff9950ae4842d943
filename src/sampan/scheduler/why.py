"""Why a pod waits: what every plugin says about every node, and what would help.

Owns the report; a cycle stops at the first plugin that excludes a node, this asks all of them. Pure but for `observe`,
which reads a cluster into a snapshot once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sampan.api.core.v1 import Pod
from sampan.api.resources import NODES, PODS
from sampan.client.base import Client
from sampan.kinds.core.pod import is_terminal
from sampan.scheduler.cycle import Profile, Refused, best_row, refusal, run_filters
from sampan.scheduler.plugins.base import Narrowed, Plugin, PluginError, Rejected, Verdict
from sampan.scheduler.preemption import Candidate, preempt
from sampan.scheduler.shape import Shape
from sampan.scheduler.snapshot import Int64, Mask, Snapshot
from sampan.scheduler.world import RESOURCES

REMEDIES = {
    "NodeUnschedulable": "uncordon a node",
    "NodeName": "remove spec.nodeName",
    "TaintToleration": "add a toleration, or remove a taint",
    "NodeAffinity": "label a node so, or ask for less in nodeSelector and node affinity",
    "NodePorts": "use another host port, or none",
    "VolumeBinding": "make a volume that fits and can be reached there",
    "VolumeZone": "run in the volume's zone",
    "VolumeRestrictions": "wait until the other pod is gone, or use a volume that can be shared",
    "NodeVolumeLimits": "spread pods with volumes over more nodes",
    "PodTopologySpread": "raise maxSkew, make it ScheduleAnyway, or add nodes in the emptier domains",
    "InterPodAffinity": "loosen the pod's affinity or anti-affinity, or move the pods that it is about",
    "NodeDeclaredFeatures": "use nodes whose agent declares what the pod needs, or do without",
    "DynamicResources": "free a device, or add one that matches the claim",
}


@dataclass(frozen=True)
class Saying:
    """What one plugin says. `alone`: nodes where nothing else stands in the way."""

    plugin: str
    reasons: tuple[tuple[str, int], ...]
    nodes: tuple[str, ...]
    alone: tuple[str, ...]
    remedy: str


@dataclass(frozen=True)
class Why:
    """The report. `fits`: the nodes that would take the pod now; `would_take`: the one that would be chosen."""

    total: int
    fits: tuple[str, ...]
    would_take: str
    sayings: tuple[Saying, ...]
    preemption: str  # or what stands in the way of any answer


async def observe(client: Client) -> tuple[Snapshot, list[Pod]]:
    """A snapshot of the cluster, and all pods.

    Raises:
        ApiError: It cannot be read.
    """
    snapshot = Snapshot()
    for resource in RESOURCES:
        for obj in (await client.list(resource)).items:
            snapshot.world.put(resource, obj)
    for node in (await client.list(NODES)).items:
        snapshot.put_node(node)
    pods = (await client.list(PODS)).items
    for pod in pods:
        if is_terminal(pod):
            continue
        if pod.spec.nodeName:
            snapshot.put_pod(pod)
        elif pod.status.nominatedNodeName in snapshot.rows:
            snapshot.nominate(pod, snapshot.shape(pod), snapshot.rows[pod.status.nominatedNodeName])
    return snapshot, pods


def explain(pod: Pod, snapshot: Snapshot, profile: Profile) -> Why:
    """Ask every plugin about every node."""
    snapshot.unnominate(pod.metadata.uid)
    shape = snapshot.shape(pod)
    refused: list[tuple[Plugin, Mask, list[tuple[str, int]]]] = []
    for plugin in profile.filters:
        mask, reasons = _asked(plugin, shape, snapshot)
        if mask.any():
            refused.append((plugin, mask, reasons))
    times = sum((mask.astype(np.int64) for _, mask, _ in refused), np.zeros(len(snapshot.alive), np.int64))
    sayings = tuple(Saying(plugin.name, tuple(reasons), _names(snapshot, mask), _names(snapshot, mask & (times == 1)),
                           _remedy(plugin, shape, snapshot, mask)) for plugin, mask, reasons in refused)
    if not len(snapshot):
        return Why(0, (), "", sayings, "")
    try:
        found = run_filters(shape, snapshot, profile)
        chosen = snapshot.node(best_row(shape, snapshot, profile, found.feasible)).metadata.name if found.feasible.any() else ""
    except PluginError as error:
        return Why(len(snapshot), (), "", sayings, str(error))
    said = "" if chosen else _preemption(pod, shape, refusal(found, snapshot), snapshot, profile)
    return Why(len(snapshot), _names(snapshot, found.feasible), chosen, sayings, said)


def _asked(plugin: Plugin, shape: Shape, snapshot: Snapshot) -> tuple[Mask, list[tuple[str, int]]]:
    """The rows that a plugin refuses, and in which words."""
    first = plugin.prefilter(shape, snapshot)
    if isinstance(first, Rejected):
        return snapshot.alive.copy(), [(first.message, len(snapshot))]
    out = np.zeros(len(snapshot.alive), np.bool_)
    reasons: list[tuple[str, int]] = []
    if isinstance(first, Narrowed):
        out |= snapshot.alive & ~first.rows
        reasons.append((f"node(s) didn't satisfy plugin(s) [{plugin.name}]", int(out.sum())))
    try:
        verdict: Verdict | None = plugin.filter(shape, snapshot)
    except PluginError as error:
        return snapshot.alive.copy(), [(str(error), len(snapshot))]
    if verdict is not None:
        lost = snapshot.alive & ~verdict.fits
        out |= lost
        counts: dict[str, int] = {}
        for reason in verdict.reasons:
            counts[reason.text] = counts.get(reason.text, 0) + int((reason.rows & lost).sum())
        reasons += counts.items()
    return out, [(text, count) for text, count in reasons if count]


def _remedy(plugin: Plugin, shape: Shape, snapshot: Snapshot, rows: Mask) -> str:
    if plugin.name != "NodeResourcesFit":
        return REMEDIES.get(plugin.name, "")
    best: tuple[float, str] | None = None
    for row in np.flatnonzero(rows).tolist():
        lacking = {name: amount - int(free[row]) for name, amount, free in _free(shape, snapshot) if free[row] < amount}
        share = max((short / max(dict(shape.requests).get(name, 1), 1) for name, short in lacking.items()), default=0.0)
        if best is None or share < best[0]:
            text = ", ".join(_amount(name, short) for name, short in sorted(lacking.items()))
            best = (share, f"nearest is {snapshot.node(row).metadata.name}, which lacks {text}")
    return best[1] if best is not None else ""


def _free(shape: Shape, snapshot: Snapshot) -> list[tuple[str, int, Int64]]:
    wanted = [*((name, amount) for name, amount in shape.requests.items() if amount > 0), ("pods", 1)]
    columns = [(name, amount, snapshot.column(name)) for name, amount in wanted]  # each may be a new one
    return [(name, amount, snapshot.allocatable[index] - snapshot.requested[index]) for name, amount, index in columns]


def _amount(name: str, short: int) -> str:
    if name == "cpu":
        return f"{short}m cpu"
    if name in ("memory", "ephemeral-storage") or name.startswith("hugepages-"):
        return f"{-(-short // 2**20)}Mi {name}"
    return f"{short} {name}"


def _preemption(pod: Pod, shape: Shape, refused: Refused, snapshot: Snapshot, profile: Profile) -> str:
    if not profile.preempts or refused.unread:
        return ""
    outcome = preempt(pod, shape, refused, snapshot, profile)
    if isinstance(outcome, Candidate):
        names = ", ".join(f"{one.pod.metadata.namespace}/{one.pod.metadata.name}" for one in outcome.victims)
        return f"{snapshot.node(outcome.row).metadata.name} would take it if these went: {names}"
    return outcome.message


def _names(snapshot: Snapshot, rows: Mask) -> tuple[str, ...]:
    return tuple(sorted(snapshot.node(row).metadata.name for row in np.flatnonzero(rows & snapshot.alive).tolist()))


def render(title: str, why: Why, *, most_names: int = 5) -> str:
    """The report as text."""
    lines = [f"{title}: {len(why.fits)} of {why.total} nodes fit" + (f"; {why.would_take} is best" if why.would_take else "")]
    for one in why.sayings:
        lines += [f"  {one.plugin}: {count} {text}" for text, count in one.reasons]
        lines.append(f"    nodes: {_shortened(one.nodes, most_names)}")
        if one.alone:
            lines.append(f"    nothing else stands in the way on {_shortened(one.alone, most_names)}")
        if one.remedy:
            lines.append(f"    what would help: {one.remedy}")
    if why.preemption:
        lines.append(f"  preemption: {why.preemption}")
    return "\n".join(lines)


def _shortened(names: Sequence[str], most: int) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
