"""The cluster as columns: one row a node, updated row by row as nodes and pods come and go.

Owns resources, labels, taints, ports and what is assigned or nominated where. Rows are given again when nodes leave;
`alive` says which count. Everything is int64 in the units of `kinds.core.pod.amounts`: milli-CPU, bytes, counts.
Source: kube-scheduler `framework/types.go` (NodeInfo), `backend/cache`, `backend/queue/nominator.go`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
import numpy.typing as npt

from sampan.api.core.v1 import Node, Pod, Taint
from sampan.kinds.core.pod import amounts
from sampan.scheduler.podindex import PodIndex
from sampan.scheduler.shape import Shape, same_shape, shape_key
from sampan.scheduler.world import World

Mask = npt.NDArray[np.bool_]
Int64 = npt.NDArray[np.int64]
Float = npt.NDArray[np.float64]
Rows = slice | list[int]

BASE_COLUMNS = ("cpu", "memory", "ephemeral-storage", "pods")
RECENT_SHAPES = 4096
MOST_TOUCHED = 4096


@dataclass(slots=True)
class Assigned:
    """A pod on a row. `live`: its deletion was not asked for."""

    row: int
    pod: Pod
    shape: Shape
    live: bool


@dataclass(slots=True)
class Nominated:
    """A pod for which room is being made on a row."""

    row: int
    pod: Pod
    shape: Shape


@dataclass
class LabelColumn:
    """One label key over all rows: ids of values, -1 where a node does not have the key."""

    ids: npt.NDArray[np.intp]
    values: dict[str, int] = field(default_factory=dict)


class Snapshot:
    """The columns. Not a copy: the scheduler's one task updates it and the cycle reads it, without an await between."""

    def __init__(self, capacity: int = 16) -> None:
        self.world = World()
        self.index = PodIndex(self.world.namespace_labels)
        self.columns: dict[str, int] = {name: index for index, name in enumerate(BASE_COLUMNS)}
        # resources × rows, so that one resource of all nodes lies together
        self.allocatable: Int64 = np.zeros((len(BASE_COLUMNS), capacity), np.int64)
        self.requested: Int64 = np.zeros((len(BASE_COLUMNS), capacity), np.int64)
        self.scoring: Int64 = np.zeros((2, capacity), np.int64)
        self.alive: Mask = np.zeros(capacity, np.bool_)
        self.unschedulable: Mask = np.zeros(capacity, np.bool_)
        self.labels: dict[str, LabelColumn] = {}
        self.taints: dict[tuple[str, str, str], Mask] = {}
        self.nodes: list[Node | None] = [None] * capacity
        self.rows: dict[str, int] = {}
        self.assigned: dict[str, Assigned] = {}
        self.pods_on: list[dict[str, Assigned]] = [{} for _ in range(capacity)]
        self.row_version: Int64 = np.zeros(capacity, np.int64)  # moves when what runs on the row, or the node, does
        self.ports: dict[tuple[str, int], dict[int, list[str]]] = {}
        self.claims: dict[tuple[str, str], dict[int, int]] = {}  # (namespace, claim) → row → pods that use it
        self.images: dict[str, dict[int, int]] = {}  # name → row → bytes
        self.nominated: dict[str, Nominated] = {}
        self._nominated_on: dict[int, dict[str, None]] = {}
        self.intricate: set[str] = set()  # those of them that ask for more than resources
        self.levels: dict[int, Int64] = {}  # priority → what pods of it that are nominated ask for
        self._level_sizes: dict[int, int] = {}
        self.by_priority: dict[int, Int64] = {}  # priority → what assigned pods of it ask for
        self._priority_sizes: dict[int, int] = {}
        self.memory: dict[str, Any] = {}  # what is derived from all of it, with the version that it is of
        self._touched: list[int] = []  # rows whose version moved, in order; `_forgotten` were there before
        self._forgotten = 0
        self.generation = 0  # of what depends on nodes alone
        self.image_generation = 0
        self._free: list[int] = list(range(capacity - 1, -1, -1))
        self._waiting: dict[str, dict[str, tuple[Pod, Shape]]] = {}  # pods on nodes that are not known (yet)
        self._waiting_on: dict[str, str] = {}
        self._shapes: WeakValueDictionary[bytes, Shape] = WeakValueDictionary()
        self._recent: deque[Shape] = deque(maxlen=RECENT_SHAPES)

    def __len__(self) -> int:
        return len(self.rows)

    def shape(self, pod: Pod, *, assigned: bool = False) -> Shape:
        """The shape of a pod: the same object for pods that no plugin can tell apart."""
        key = shape_key(pod, assigned=assigned)
        found = self._shapes.get(key)
        if found is None:
            found = self._shapes[key] = Shape(key, pod, assigned=assigned)
            found.klass = self.index.class_of(found.namespace, found.labels)
            self._recent.append(found)
        return found

    def node(self, row: int) -> Node:
        """The node of a row that is alive."""
        found = self.nodes[row]
        assert found is not None
        return found

    # what changed

    @property
    def moment(self) -> int:
        """Now, for `touched_since`."""
        return self._forgotten + len(self._touched)

    def touched_since(self, moment: int) -> list[int] | None:
        """The rows whose version has moved since; None: too many, or all have another place."""
        return self._touched[moment - self._forgotten:] if moment >= self._forgotten else None

    def _touch(self, row: int) -> None:
        self.row_version[row] += 1
        self._touched.append(row)
        if len(self._touched) > MOST_TOUCHED:
            self._forget_touched()

    def _forget_touched(self) -> None:
        self._forgotten += len(self._touched) + 1
        self._touched.clear()

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
            for pod, shape in self._waiting.pop(name, {}).values():
                del self._waiting_on[pod.metadata.uid]
                self._assign(pod, row, shape)
        before, self.nodes[row] = self.nodes[row], node
        if before is None or before.status.allocatable != node.status.allocatable:
            self._resources(row, node)
            self._touch(row)
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
        for uid, one in list(self.pods_on[row].items()):
            self._unassign(uid)
            self._waiting.setdefault(name, {})[uid] = (one.pod, one.shape)
            self._waiting_on[uid] = name
        for uid in self.nominated_on(row):
            self.unnominate(uid)
        node = self.nodes[row]
        self.nodes[row], self.alive[row], self.unschedulable[row] = None, False, False
        self.allocatable[:, row] = 0
        self._touch(row)
        for column in self.labels.values():
            column.ids[row] = -1
            self._compact(column)
        for mask in self.taints.values():
            mask[row] = False
        self._images(row, node, None)
        self._free.append(row)
        self.generation += 1

    def _grow_rows(self) -> None:
        old = len(self.alive)
        more = old  # double

        def longer(array: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
            return np.concatenate([array, np.zeros((*array.shape[:-1], more), array.dtype)], axis=-1)

        self.allocatable, self.requested = longer(self.allocatable), longer(self.requested)  # type: ignore[assignment]
        self.scoring, self.alive, self.unschedulable = longer(self.scoring), longer(self.alive), longer(self.unschedulable)  # type: ignore[assignment]
        for column in self.labels.values():
            column.ids = np.concatenate([column.ids, np.full(more, -1, np.intp)])
        for key in self.taints:
            self.taints[key] = longer(self.taints[key])  # type: ignore[assignment]
        for table in (self.levels, self.by_priority):
            for priority in table:
                table[priority] = longer(table[priority])  # type: ignore[assignment]
        self.nodes += [None] * more
        self.pods_on += [{} for _ in range(more)]
        self.row_version = longer(self.row_version)  # type: ignore[assignment]
        self._free += list(range(old + more - 1, old - 1, -1))
        self._forget_touched()
        self.generation += 1

    def column(self, name: str) -> int:
        """The index of a resource, a new one for a name not seen before."""
        index = self.columns.get(name)
        if index is None:
            index = self.columns[name] = len(self.columns)
            self._forget_touched()
            empty = np.zeros((1, len(self.alive)), np.int64)
            self.allocatable = np.concatenate([self.allocatable, empty])
            self.requested = np.concatenate([self.requested, empty])
            self.levels = {priority: np.concatenate([level, empty]) for priority, level in self.levels.items()}
            self.by_priority = {priority: np.concatenate([level, empty]) for priority, level in self.by_priority.items()}
        return index

    def _resources(self, row: int, node: Node) -> None:
        given = amounts(node.status.allocatable)
        for name in given:
            self.column(name)
        self.allocatable[:, row] = 0
        for name, amount in given.items():
            self.allocatable[self.columns[name], row] = amount

    def _labels(self, row: int, node: Node) -> None:
        labels = node.metadata.labels
        for column in self.labels.values():
            column.ids[row] = -1
        for key, value in labels.items():
            found = self.labels.get(key)
            if found is None:
                found = self.labels[key] = LabelColumn(np.full(len(self.alive), -1, np.intp))
            found.ids[row] = found.values.setdefault(value, len(found.values))

    def _compact(self, column: LabelColumn) -> None:
        """Forget values that no node has any more, once they are many."""
        if len(column.values) <= 4 * len(self.rows) + 256:
            return
        names = list(column.values)
        used, ids = np.unique(column.ids, return_inverse=True)
        offset = 1 if len(used) and used[0] == -1 else 0
        column.ids = (ids - offset).astype(np.intp)
        column.values = {names[old]: new for new, old in enumerate(used[offset:])}
        self.generation += 1

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
        self.image_generation += 1
        for image in before.status.images if before is not None else ():
            for name in image.names or ():
                self.images.get(name, {}).pop(row, None)
        for image in after.status.images if after is not None else ():
            for name in image.names or ():
                there = self.images.setdefault(name, {})
                there[row] = next(iter(there.values()), image.sizeBytes)  # its size is what the first node said

    # pods

    def put_pod(self, pod: Pod) -> None:
        """A pod that has a node is new or changed."""
        uid, node = pod.metadata.uid, pod.spec.nodeName
        known, row = self.assigned.get(uid), self.rows.get(node)
        shape = known.shape if known is not None and same_shape(known.pod, pod) else self.shape(pod, assigned=True)
        leaves = pod.metadata.deletionTimestamp is not None
        if known is not None and known.row == row and known.shape is shape and (known.live or leaves):
            known.pod = pod  # nothing else that counts has changed
            if known.live and leaves:
                self._leaving(known)
            return
        self.remove_pod(uid)
        if row is None:
            self._waiting.setdefault(node, {})[uid] = (pod, shape)
            self._waiting_on[uid] = node
        else:
            self._assign(pod, row, shape)

    def remove_pod(self, uid: str) -> None:
        """A pod has ended or was deleted."""
        self.unnominate(uid)
        if uid in self.assigned:
            self._unassign(uid)
        elif (node := self._waiting_on.pop(uid, None)) is not None:
            del self._waiting[node][uid]
            if not self._waiting[node]:
                del self._waiting[node]

    def assume(self, pod: Pod, shape: Shape, row: int) -> None:
        """Count a pod on a row before the API server has heard of it."""
        self.remove_pod(pod.metadata.uid)
        self._assign(pod, row, shape)

    def _assign(self, pod: Pod, row: int, shape: Shape) -> None:
        uid = pod.metadata.uid
        self.assigned[uid] = self.pods_on[row][uid] = one = Assigned(row, pod, shape, pod.metadata.deletionTimestamp is None)
        self._move(one, 1)
        for protocol, address, port in shape.ports:
            self.ports.setdefault((protocol, port), {}).setdefault(row, []).append(address)

    def _leaving(self, one: Assigned) -> None:
        """A pod's deletion was asked for: it is there as before, but those who count what stays do not count it, and it is the last of its row."""
        one.live = False
        there = self.pods_on[one.row]
        there[one.pod.metadata.uid] = there.pop(one.pod.metadata.uid)
        self._touch(one.row)
        self.index.leaving(one.shape, one.row)

    def _unassign(self, uid: str) -> None:
        one = self.assigned.pop(uid)
        del self.pods_on[one.row][uid]
        self._move(one, -1)
        for protocol, address, port in one.shape.ports:
            users = self.ports[protocol, port]
            users[one.row].remove(address)
            if not users[one.row]:
                del users[one.row]

    def _move(self, one: Assigned, sign: int) -> None:
        row, shape = one.row, one.shape
        self._touch(row)
        level = self._priority_level(shape, sign)
        for name, amount in shape.requests.items():
            index = self.columns[name]
            self.requested[index, row] += sign * amount
            level[index, row] += sign * amount
        self.requested[3, row] += sign
        level[3, row] += sign
        self.scoring[0, row] += sign * shape.scoring[0]
        self.scoring[1, row] += sign * shape.scoring[1]
        self.index.move(shape, row, sign, live=one.live)
        for claim in shape.claims:
            users = self.claims.setdefault((shape.namespace, claim), {})
            users[row] = users.get(row, 0) + sign
            if not users[row]:
                del users[row]
                if not users:
                    del self.claims[shape.namespace, claim]

    def _priority_level(self, shape: Shape, sign: int) -> Int64:
        for name in shape.requests:
            self.column(name)
        level = self.by_priority.get(shape.priority)
        if level is None:
            level = self.by_priority[shape.priority] = np.zeros_like(self.requested)
        size = self._priority_sizes[shape.priority] = self._priority_sizes.get(shape.priority, 0) + sign
        if not size:
            del self.by_priority[shape.priority], self._priority_sizes[shape.priority]
        return level

    # preemption

    def take_out(self, uids: Iterable[str]) -> list[Assigned]:
        """Take pods off their row for a moment; `put_back` returns them. No await may come between."""
        out = []
        for uid in uids:
            out.append(self.assigned[uid])
            self._unassign(uid)
        return out

    def put_back(self, pods: Iterable[Assigned]) -> None:
        """Undo `take_out`."""
        for one in pods:
            self._assign(one.pod, one.row, one.shape)

    def nominate(self, pod: Pod, shape: Shape, row: int) -> None:
        """Room is being made for a pod on a row: pods of lower priority may not take it."""
        self.unnominate(pod.metadata.uid)
        self.nominated[pod.metadata.uid] = Nominated(row, pod, shape)
        self._nominated_on.setdefault(row, {})[pod.metadata.uid] = None
        if self.is_intricate(shape):
            self.intricate.add(pod.metadata.uid)
        self._nominate(shape, row, 1)

    def unnominate(self, uid: str) -> Nominated | None:
        """No room is kept for the pod any more."""
        found = self.nominated.pop(uid, None)
        if found is not None:
            self.intricate.discard(uid)
            there = self._nominated_on[found.row]
            del there[uid]
            if not there:
                del self._nominated_on[found.row]
            self._nominate(found.shape, found.row, -1)
        return found

    def nominated_on(self, row: int) -> list[str]:
        """The uids of the pods for which room is kept on a row."""
        return list(self._nominated_on.get(row, ()))

    def _nominate(self, shape: Shape, row: int, sign: int) -> None:
        self._touch(row)
        for name in shape.requests:
            self.column(name)
        level = self.levels.get(shape.priority)
        if level is None:
            level = self.levels[shape.priority] = np.zeros_like(self.requested)
        for name, amount in shape.requests.items():
            level[self.columns[name], row] += sign * amount
        level[3, row] += sign
        self._level_sizes[shape.priority] = self._level_sizes.get(shape.priority, 0) + sign
        if not self._level_sizes[shape.priority]:
            del self.levels[shape.priority], self._level_sizes[shape.priority]

    # questions

    def is_intricate(self, shape: Shape) -> bool:
        """Whether more than free resources of nodes decides where a pod fits."""
        return shape.complex or self.has_stand_ins(shape)

    def has_stand_ins(self, shape: Shape) -> bool:
        """Whether devices may serve some of what a pod asks for."""
        return bool(shape.extended) and not shape.extended.isdisjoint(self.world.device_class_of)

    def vector(self, shape: Shape) -> Int64:
        """int64[R] of what a pod asks for, itself counted among `pods`."""
        for name in shape.requests:
            self.column(name)
        out = np.zeros(len(self.columns), np.int64)
        for name, amount in shape.requests.items():
            out[self.columns[name]] = amount
        out[3] = 1
        return out

    def domain_any(self, key: str, rows: Mask) -> Mask:
        """bool[N] of the rows in a domain (by a label key) that one of `rows` is in."""
        column = self.labels.get(key)
        if column is None:
            return np.zeros(len(self.alive), np.bool_)
        hit = np.zeros(len(column.values) + 1, np.bool_)
        hit[column.ids[rows]] = True
        hit[-1] = False  # where the rows without the key went
        out: Mask = hit[column.ids]
        return out

    def domain_sums(self, key: str, amounts_by_row: npt.NDArray[np.generic]) -> tuple[LabelColumn, Float] | None:
        """float[D] of the sums over each domain of a label key; None: no node has the key."""
        column = self.labels.get(key)
        if column is None or not column.values:
            return None
        sums = np.bincount(column.ids + 1, weights=amounts_by_row, minlength=len(column.values) + 1)[1:]
        return column, sums.astype(np.float64, copy=False)

    def has_label(self, key: str) -> Mask:
        """bool[N] of the nodes that have a label."""
        column = self.labels.get(key)
        return column.ids >= 0 if column is not None else np.zeros(len(self.alive), np.bool_)
