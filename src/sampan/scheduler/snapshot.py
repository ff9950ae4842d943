"""The cluster as columns: one row a node, updated row by row as nodes and pods come and go.

Owns resources, labels, taints, ports and what is assigned where. Rows are given again when nodes leave; `alive` says
which count. Everything is int64 in the units of `kinds.core.pod.amounts`: milli-CPU, bytes, counts.
Source: kube-scheduler `framework/types.go` (NodeInfo), `internal/cache`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from sampan.api.core.v1 import Node, Pod, Taint
from sampan.kinds.core.pod import amounts, host_ports, requests

Mask = npt.NDArray[np.bool_]
Int64 = npt.NDArray[np.int64]
Float = npt.NDArray[np.float64]

# what a container that asks for nothing counts as when nodes are compared
MISSING = {"cpu": 100, "memory": 200 * 1024 * 1024}
BASE_COLUMNS = ("cpu", "memory", "ephemeral-storage", "pods")


@dataclass(frozen=True)
class PodShape:
    """What the plugins need of a pod, computed once."""

    pod: Pod
    requests: Mapping[str, int]
    scoring: tuple[int, int]  # milli-CPU and bytes, with MISSING standing in
    ports: frozenset[tuple[str, str, int]]


def shape(pod: Pod) -> PodShape:
    """The shape of a pod."""
    scoring = requests(pod, missing=MISSING)
    return PodShape(pod, requests(pod), (scoring.get("cpu", 0), scoring.get("memory", 0)), host_ports(pod))


@dataclass
class Assigned:
    """A pod on a row."""

    row: int
    shape: PodShape


@dataclass
class LabelColumn:
    """One label key over all rows: ids of values, -1 where a node does not have the key."""

    ids: npt.NDArray[np.int32]
    values: dict[str, int] = field(default_factory=dict)


class Snapshot:
    """The columns. Not a copy: the scheduler's one task updates it and the cycle reads it, without an await between."""

    def __init__(self, capacity: int = 16) -> None:
        self.columns: dict[str, int] = {name: index for index, name in enumerate(BASE_COLUMNS)}
        self.allocatable: Int64 = np.zeros((capacity, len(BASE_COLUMNS)), np.int64)
        self.requested: Int64 = np.zeros((capacity, len(BASE_COLUMNS)), np.int64)
        self.scoring: Int64 = np.zeros((capacity, 2), np.int64)
        self.alive: Mask = np.zeros(capacity, np.bool_)
        self.unschedulable: Mask = np.zeros(capacity, np.bool_)
        self.labels: dict[str, LabelColumn] = {}
        self.taints: dict[tuple[str, str, str], Mask] = {}
        self.nodes: list[Node | None] = [None] * capacity
        self.rows: dict[str, int] = {}
        self.assigned: dict[str, Assigned] = {}
        self.pods_on: list[dict[str, PodShape]] = [{} for _ in range(capacity)]
        self.ports: dict[tuple[str, int], dict[int, list[str]]] = {}
        self.images: dict[str, dict[int, int]] = {}  # name → row → bytes
        self.generation = 0  # of what depends on nodes alone
        self._free: list[int] = list(range(capacity - 1, -1, -1))
        self._waiting: dict[str, dict[str, PodShape]] = {}  # pods on nodes that are not known (yet)

    def __len__(self) -> int:
        return len(self.rows)

    # nodes

    def put_node(self, node: Node) -> None:
        """A node is new or changed."""
        name = node.metadata.name
        row = self.rows.get(name)
        if row is None:
            if not self._free:
                self._grow_rows()
            row = self.rows[name] = self._free.pop()
            self.alive[row] = True
            for uid, waiting in self._waiting.pop(name, {}).items():
                self._assign(uid, row, waiting)
        before, self.nodes[row] = self.nodes[row], node
        self._resources(row, node)
        if before is None or before.metadata.labels != node.metadata.labels:
            self._labels(row, node)
            self.generation += 1
        if before is None or before.spec != node.spec:
            self.unschedulable[row] = bool(node.spec.unschedulable)
            self._taints(row, node.spec.taints)
            self.generation += 1
        self._images(row, before, node)

    def remove_node(self, name: str) -> None:
        """A node is gone; its pods wait for it to come back or to be deleted."""
        row = self.rows.pop(name, None)
        if row is None:
            return
        self._waiting[name] = dict(self.pods_on[row])
        for uid in list(self.pods_on[row]):
            self._unassign(uid)
        node = self.nodes[row]
        self.nodes[row], self.alive[row], self.unschedulable[row] = None, False, False
        self.allocatable[row] = 0
        for column in self.labels.values():
            column.ids[row] = -1
        for mask in self.taints.values():
            mask[row] = False
        self._images(row, node, None)
        self._free.append(row)
        self.generation += 1

    def _grow_rows(self) -> None:
        old = len(self.alive)
        more = old  # double

        def longer(array: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
            return np.concatenate([array, np.zeros((more, *array.shape[1:]), array.dtype)])

        self.allocatable, self.requested = longer(self.allocatable), longer(self.requested)  # type: ignore[assignment]
        self.scoring, self.alive, self.unschedulable = longer(self.scoring), longer(self.alive), longer(self.unschedulable)  # type: ignore[assignment]
        for column in self.labels.values():
            column.ids = np.concatenate([column.ids, np.full(more, -1, np.int32)])
        for key in self.taints:
            self.taints[key] = longer(self.taints[key])  # type: ignore[assignment]
        self.nodes += [None] * more
        self.pods_on += [{} for _ in range(more)]
        self._free += list(range(old + more - 1, old - 1, -1))

    def column(self, name: str) -> int:
        """The index of a resource, a new one for a name not seen before."""
        index = self.columns.get(name)
        if index is None:
            index = self.columns[name] = len(self.columns)
            rows = len(self.alive)
            self.allocatable = np.concatenate([self.allocatable, np.zeros((rows, 1), np.int64)], axis=1)
            self.requested = np.concatenate([self.requested, np.zeros((rows, 1), np.int64)], axis=1)
        return index

    def _resources(self, row: int, node: Node) -> None:
        given = amounts(node.status.allocatable)
        for name in given:
            self.column(name)
        self.allocatable[row] = 0
        for name, amount in given.items():
            self.allocatable[row, self.columns[name]] = amount

    def _labels(self, row: int, node: Node) -> None:
        labels = node.metadata.labels
        for column in self.labels.values():
            column.ids[row] = -1
        for key, value in labels.items():
            found = self.labels.get(key)
            if found is None:
                found = self.labels[key] = LabelColumn(np.full(len(self.alive), -1, np.int32))
            found.ids[row] = found.values.setdefault(value, len(found.values))

    def _taints(self, row: int, taints: Iterable[Taint]) -> None:
        for mask in self.taints.values():
            mask[row] = False
        for taint in taints:
            key = (taint.key, taint.value, taint.effect)
            if key not in self.taints:
                self.taints[key] = np.zeros(len(self.alive), np.bool_)
            self.taints[key][row] = True

    def _images(self, row: int, before: Node | None, after: Node | None) -> None:
        if before is not None and after is not None and before.status.images == after.status.images:
            return
        for image in before.status.images if before is not None else ():
            for name in image.names or ():
                self.images.get(name, {}).pop(row, None)
        for image in after.status.images if after is not None else ():
            for name in image.names or ():
                self.images.setdefault(name, {})[row] = image.sizeBytes

    # pods

    def put_pod(self, pod: Pod) -> None:
        """A pod that has a node is new or changed."""
        uid, node = pod.metadata.uid, pod.spec.nodeName
        self.remove_pod(uid)
        row = self.rows.get(node)
        if row is None:
            self._waiting.setdefault(node, {})[uid] = shape(pod)
        else:
            self._assign(uid, row, shape(pod))

    def remove_pod(self, uid: str) -> None:
        """A pod has ended or was deleted."""
        if uid in self.assigned:
            self._unassign(uid)
        else:
            for node, waiting in list(self._waiting.items()):
                if waiting.pop(uid, None) is not None and not waiting:
                    del self._waiting[node]

    def assume(self, pod: PodShape, row: int) -> None:
        """Count a pod on a row before the API server has heard of it."""
        self.remove_pod(pod.pod.metadata.uid)
        self._assign(pod.pod.metadata.uid, row, pod)

    def _assign(self, uid: str, row: int, pod: PodShape) -> None:
        self.assigned[uid] = Assigned(row, pod)
        self.pods_on[row][uid] = pod
        self._count(row, pod, 1)
        for protocol, address, port in pod.ports:
            self.ports.setdefault((protocol, port), {}).setdefault(row, []).append(address)

    def _unassign(self, uid: str) -> None:
        found = self.assigned.pop(uid)
        row, pod = found.row, found.shape
        del self.pods_on[row][uid]
        self._count(row, pod, -1)
        for protocol, address, port in pod.ports:
            users = self.ports[protocol, port]
            users[row].remove(address)
            if not users[row]:
                del users[row]

    def _count(self, row: int, pod: PodShape, sign: int) -> None:
        for name, amount in pod.requests.items():
            index = self.column(name)
            self.requested[row, index] += sign * amount
        self.requested[row, self.columns["pods"]] += sign
        self.scoring[row, 0] += sign * pod.scoring[0]
        self.scoring[row, 1] += sign * pod.scoring[1]

    def vector(self, pod: PodShape) -> Int64:
        """int64[R] of what a pod asks for, itself counted among `pods`."""
        for name in pod.requests:
            self.column(name)
        out = np.zeros(len(self.columns), np.int64)
        for name, amount in pod.requests.items():
            out[self.columns[name]] = amount
        out[self.columns["pods"]] = 1
        return out
