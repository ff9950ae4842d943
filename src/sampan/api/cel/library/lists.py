"""Kubernetes' list functions, sets, and math.

Source: apiserver `pkg/cel/library/lists.go`; cel-go `ext/{sets,math,lists}.go`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import reduce
from itertools import pairwise
from typing import Any

from sampan.api.cel import arithmetic
from sampan.api.cel.errors import CelError
from sampan.api.cel.library.overload import Functions, Overload, free, member, traversal
from sampan.api.cel.types import BOOL, DOUBLE, DURATION, DYN, INT, LIST_A, LIST_DYN, UINT, A, list_of
from sampan.api.cel.values import Duration, UInt, contains, equal, size_of


def index_of(items: list[Any], wanted: Any) -> int:
    return next((at for at, item in enumerate(items) if equal(item, wanted)), -1)


def last_index_of(items: list[Any], wanted: Any) -> int:
    return next((at for at in range(len(items) - 1, -1, -1) if equal(items[at], wanted)), -1)


def is_sorted(items: list[Any]) -> bool:
    return all(arithmetic.less_equal(one, other) for one, other in pairwise(items))


def _best(name: str, better: Callable[[Any, Any], bool]) -> Callable[[list[Any]], Any]:
    def find(items: list[Any]) -> Any:
        if not items:
            raise CelError(f"{name} called on empty list")
        return reduce(lambda one, other: other if better(other, one) else one, items)
    return find


def _sum(zero: Any) -> Callable[[list[Any]], Any]:
    return lambda items: reduce(arithmetic.add, items, zero)


def _product(args: Sequence[Any], result: Any) -> int:
    return size_of(args[0]) * size_of(args[1]) + 1


def _allocates(args: Sequence[Any], result: Any) -> int:
    return size_of(result) + 11


def _each_to_each(args: Sequence[Any], result: Any) -> int:
    items = args[0]
    return math.ceil(len(items) ** 2 * (2.1 if items and isinstance(items[0], str | bytes) else 2)) + 11


def _unique(items: list[Any]) -> list[Any]:
    found: list[Any] = []
    for item in items:
        if not contains(found, item):
            found.append(item)
    return found


def _flatten(items: list[Any], depth: int = 1) -> list[Any]:
    found: list[Any] = []
    for item in items:
        found += _flatten(item, depth - 1) if isinstance(item, list) and depth > 0 else [item]
    return found


def _sort(items: list[Any]) -> list[Any]:
    is_sorted([one for pair in pairwise(items) for one in pair])  # all of them must compare
    return sorted(items)


def _sets_contains(items: list[Any], others: list[Any]) -> bool:
    return all(contains(items, one) for one in others)


def _intersects(items: list[Any], others: list[Any]) -> bool:
    return any(contains(items, one) for one in others)


def _slice(items: list[Any], start: int, end: int) -> list[Any]:
    if not 0 <= start <= end <= len(items):
        raise CelError(f"cannot slice({start}, {end}), list is length {len(items)}" if end > len(items) else
                       f"cannot slice({start}, {end}), negative indexes not supported")
    return items[start:end]


def _rounded(do: Callable[[float], float]) -> Callable[[float], float]:
    return lambda value: float(do(value)) if math.isfinite(value) else value


def _abs(value: Any) -> Any:
    return arithmetic.checked(abs(value)) if type(value) is int else value if type(value) is UInt else abs(value)


def _sign(value: Any) -> Any:
    return type(value)((value > 0) - (value < 0))


_NUMBERS = (INT, UINT, DOUBLE)
_SETS = (LIST_A, LIST_A)


def _extremes(name: str, find: Callable[[list[Any]], Any]) -> list[Overload]:
    return [free(f"math_{name}_list", (LIST_DYN,), DYN, find, cost=traversal),
            *(free(f"math_{name}_{count}", (DYN,) * count, DYN, lambda *values: find(list(values))) for count in range(1, 9))]


_GREATEST, _LEAST = _best("greatest", arithmetic.greater), _best("least", arithmetic.less)
FUNCTIONS: Functions = {
    "isSorted": [member("list_a_is_sorted_bool", (LIST_A,), BOOL, is_sorted, cost=traversal, estimate="items")],
    "sum": [member(f"list_{one}_sum_{one}", (list_of(one),), one, _sum(zero), cost=traversal, estimate="items")
            for one, zero in ((INT, 0), (UINT, UInt(0)), (DOUBLE, 0.0), (DURATION, Duration(0)))],
    "max": [member("list_a_max_a", (LIST_A,), A, _best("max", arithmetic.greater), cost=traversal, estimate="items")],
    "min": [member("list_a_min_a", (LIST_A,), A, _best("min", arithmetic.less), cost=traversal, estimate="items")],
    "indexOf": [member("list_a_index_of_int", (LIST_A, A), INT, index_of, cost=traversal, estimate="items")],
    "lastIndexOf": [member("list_a_last_index_of_int", (LIST_A, A), INT, last_index_of, cost=traversal, estimate="items")],
    "distinct": [member("list_distinct", (LIST_A,), LIST_A, _unique, cost=_each_to_each)],
    "flatten": [member("list_flatten", (list_of(LIST_A),), LIST_A, _flatten, cost=_allocates)],
    "slice": [member("list_slice", (LIST_A, INT, INT), LIST_A, _slice, cost=_allocates)],
    "sort": [member("list_sort", (LIST_A,), LIST_A, _sort, cost=_each_to_each)],
    "lists.range": [free("lists_range", (INT,), list_of(INT), lambda count: list(range(min(count, 1_000_000))), cost=_allocates)],
    "sets.contains": [free("list_sets_contains_list", _SETS, BOOL, _sets_contains, cost=_product, estimate="product")],
    "sets.equivalent": [free("list_sets_equivalent_list", _SETS, BOOL, lambda one, other: _sets_contains(one, other) and _sets_contains(other, one),
                             cost=_product, estimate="product")],
    "sets.intersects": [free("list_sets_intersects_list", _SETS, BOOL, _intersects, cost=_product, estimate="product")],
    "math.greatest": _extremes("greatest", _GREATEST),
    "math.least": _extremes("least", _LEAST),
    "math.abs": [free(f"math_abs_{one}", (one,), one, _abs) for one in _NUMBERS],
    "math.sign": [free(f"math_sign_{one}", (one,), one, _sign) for one in _NUMBERS],
    "math.ceil": [free("math_ceil_double", (DOUBLE,), DOUBLE, _rounded(math.ceil))],
    "math.floor": [free("math_floor_double", (DOUBLE,), DOUBLE, _rounded(math.floor))],
    "math.trunc": [free("math_trunc_double", (DOUBLE,), DOUBLE, _rounded(math.trunc))],
    "math.round": [free("math_round_double", (DOUBLE,), DOUBLE, _rounded(lambda value: math.copysign(math.floor(abs(value) + 0.5), value)))],
    "math.isNaN": [free("math_isNaN_double", (DOUBLE,), BOOL, math.isnan)],
    "math.isInf": [free("math_isInf_double", (DOUBLE,), BOOL, math.isinf)],
    "math.isFinite": [free("math_isFinite_double", (DOUBLE,), BOOL, math.isfinite)],
}
