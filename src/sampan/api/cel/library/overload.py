"""How functions are declared: overloads with types, what does them, and what they cost."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sampan.api.cel.types import Type
from sampan.api.cel.values import size_of

Cost = Callable[[Sequence[Any], Any], int]
TRAVERSE = 0.1


@dataclass(frozen=True, eq=False)
class Overload:
    """One way to call a function. A member's first parameter is what stands before the dot. `cost` None: 1."""

    id: str
    params: tuple[Type, ...]
    result: Type
    do: Callable[..., Any]
    member: bool = False
    cost: Cost | None = None
    estimate: str = ""
    """How its cost is estimated beforehand, see `estimate`; empty: 1."""


Functions = Mapping[str, Sequence[Overload]]


def traversal(args: Sequence[Any], result: Any) -> int:
    """The first argument is read once."""
    return math.ceil(size_of(args[0]) * TRAVERSE)


def two_traversals(args: Sequence[Any], result: Any) -> int:
    """The first argument is read once, and as much is written."""
    return math.ceil(size_of(args[0]) * 2 * TRAVERSE)


def regex_cost(args: Sequence[Any], result: Any) -> int:
    """As much as RE2 can need."""
    return math.ceil((1 + size_of(args[0])) * TRAVERSE) * math.ceil(size_of(args[1]) * 0.25)


def product(args: Sequence[Any], result: Any) -> int:
    """Each character of one against each of the other."""
    return math.ceil(size_of(args[0]) * TRAVERSE) * math.ceil(size_of(args[1]) * TRAVERSE)


def member(id: str, params: tuple[Type, ...], result: Type, do: Callable[..., Any], *, cost: Cost | None = None,
           estimate: str = "") -> Overload:
    """A method."""
    return Overload(id, params, result, do, True, cost, estimate)


def free(id: str, params: tuple[Type, ...], result: Type, do: Callable[..., Any], *, cost: Cost | None = None,
         estimate: str = "") -> Overload:
    """A function."""
    return Overload(id, params, result, do, False, cost, estimate)
