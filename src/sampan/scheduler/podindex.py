"""Which pods a selector means, counted per row and kept current: topology spread and pod affinity read it.

Pods with like labels in one namespace are one class; a selector is held against a class once. A counter of a selector
moves with every pod that comes or goes, so no cycle ever walks over pods.
Source: kube-scheduler `interpodaffinity/filtering.go`, `podtopologyspread/filtering.go` (what is counted).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import NamedTuple
from weakref import WeakValueDictionary

import numpy as np
import numpy.typing as npt

from sampan.scheduler.shape import NamespaceLabels, Shape, Term

MOST_COUNTERS = 2048


class PodClass:
    """All pods of one namespace with one set of labels."""

    __slots__ = ("__weakref__", "counters", "labels", "live", "matching", "namespace", "rows")

    def __init__(self, namespace: str, labels: Mapping[str, str]) -> None:
        self.namespace, self.labels = namespace, labels
        self.rows: dict[int, int] = {}  # row → pods of this class
        self.live: dict[int, int] = {}  # the same without those being deleted
        self.counters: list[Counter] = []
        self.matching: dict[str, tuple[int, list[tuple[Term, RowCounts]]]] = {}


class RowCounts:
    """A number a row: a dict while few rows have one, an array beside it once somebody reads many."""

    __slots__ = ("_dense", "sparse")

    def __init__(self) -> None:
        self.sparse: dict[int, int] = {}
        self._dense: npt.NDArray[np.float64] | None = None

    def add(self, row: int, amount: int) -> None:
        now = self.sparse.get(row, 0) + amount
        if now:
            self.sparse[row] = now
        else:
            self.sparse.pop(row, None)
        if self._dense is not None and row < len(self._dense):
            self._dense[row] = now

    def array(self, rows: int) -> npt.NDArray[np.float64]:
        """float[rows] of whole numbers, not to be changed."""
        if self._dense is None or len(self._dense) != rows:
            self._dense = np.zeros(rows, np.float64)
            for row, amount in self.sparse.items():
                self._dense[row] = amount
        return self._dense

    def __bool__(self) -> bool:
        return bool(self.sparse)


class Counter(NamedTuple):
    """How many pods match all `terms`, a row; `live`: those being deleted do not count."""

    terms: tuple[Term, ...]
    live: bool
    rows: RowCounts


class TermTable:
    """The terms that assigned pods have, each with the rows of the pods that have it."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._terms: dict[Term, RowCounts] = {}
        self._version = 0

    def __bool__(self) -> bool:
        return bool(self._terms)

    def add(self, term: Term, row: int, amount: int) -> None:
        rows = self._terms.get(term)
        if rows is None:
            rows = self._terms[term] = RowCounts()
            self._version += 1
        rows.add(row, amount)
        if not rows:
            del self._terms[term]
            self._version += 1

    def forget_matches(self) -> None:
        """Namespaces have other labels now."""
        self._version += 1

    def matching(self, klass: PodClass, namespace_labels: NamespaceLabels) -> list[tuple[Term, RowCounts]]:
        """The terms that mean pods of this class."""
        if not self._terms:
            return []
        known = klass.matching.get(self._name)
        if known is None or known[0] != self._version:
            found = [(term, rows) for term, rows in self._terms.items() if term.matches(klass.namespace, klass.labels, namespace_labels)]
            known = klass.matching[self._name] = (self._version, found)
        return known[1]


class PodIndex:
    """Classes, counters and the terms of assigned pods."""

    def __init__(self, namespace_labels: NamespaceLabels) -> None:
        self._namespace_labels = namespace_labels
        self._classes: WeakValueDictionary[tuple[str, frozenset[tuple[str, str]]], PodClass] = WeakValueDictionary()
        self._counters: OrderedDict[tuple[tuple[Term, ...], bool], Counter] = OrderedDict()
        self.anti, self.required, self.preferred = TermTable("anti"), TermTable("required"), TermTable("preferred")

    def class_of(self, namespace: str, labels: Mapping[str, str]) -> PodClass:
        """The class, a new one for labels not seen before. It lives as long as a shape holds it."""
        key = (namespace, frozenset(labels.items()))
        found = self._classes.get(key)
        if found is None:
            found = self._classes[key] = PodClass(namespace, labels)
            found.counters = [one for one in self._counters.values() if self._matches(one, found)]
        return found

    def counter(self, terms: Iterable[Term], *, live: bool = False) -> RowCounts:
        """Matching pods a row."""
        key = (tuple(terms), live)
        found = self._counters.get(key)
        if found is None:
            found = self._counters[key] = Counter(*key, RowCounts())
            for klass in list(self._classes.values()):
                if self._matches(found, klass):
                    klass.counters.append(found)
                    for row, amount in (klass.live if live else klass.rows).items():
                        found.rows.add(row, amount)
            while len(self._counters) > MOST_COUNTERS:
                self._drop(next(iter(self._counters)))
        else:
            self._counters.move_to_end(key)
        return found.rows

    def move(self, shape: Shape, row: int, amount: int, *, live: bool) -> None:
        """A pod of this shape has come to a row (1) or left it (-1)."""
        klass: PodClass = shape.klass
        _count(klass.rows, row, amount)
        if live:
            _count(klass.live, row, amount)
        for counter in klass.counters:
            if live or not counter.live:
                counter.rows.add(row, amount)
        for term in shape.anti:
            self.anti.add(term, row, amount)
        for term in shape.required:
            self.required.add(term, row, amount)
        for term, weight in shape.preferred:
            self.preferred.add(term, row, amount * weight)

    def leaving(self, shape: Shape, row: int) -> None:
        """The deletion of a pod of this shape was asked for."""
        klass: PodClass = shape.klass
        _count(klass.live, row, -1)
        for counter in klass.counters:
            if counter.live:
                counter.rows.add(row, -1)

    def namespaces_changed(self) -> None:
        """Labels of a namespace are others now: what depends on them is computed again."""
        for table in (self.anti, self.required, self.preferred):
            table.forget_matches()
        for key in [key for key in self._counters if any(not term.namespace_selector.nothing for term in key[0])]:
            self._drop(key)

    def _drop(self, key: tuple[tuple[Term, ...], bool]) -> None:
        gone = self._counters.pop(key)
        for klass in list(self._classes.values()):
            klass.counters = [one for one in klass.counters if one is not gone]

    def _matches(self, counter: Counter, klass: PodClass) -> bool:
        return all(term.matches(klass.namespace, klass.labels, self._namespace_labels) for term in counter.terms)


def _count(table: dict[int, int], row: int, amount: int) -> None:
    now = table.get(row, 0) + amount
    if now:
        table[row] = now
    else:
        table.pop(row, None)
