"""Macros as loops. An error of one item is forgotten where another item decides.

Costs are those of the comprehensions that upstream unfolds macros to.
Source: cel-go `parser/macro.go`, `ext/comprehensions.go`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from sampan.api.cel.errors import CelError, CostExceeded
from sampan.api.cel.values import NONE, Optional, map_key

Frame = list[Any]
Run = Callable[[Frame], Any]
Slots = tuple[int, ...]


def _bad() -> CelError:
    return CelError("no such overload")


def _each(source: Any, frame: Frame, slots: Slots, cost: int) -> Iterable[Any]:
    """Puts each item into the frame; pays for the step. Yields the first variable."""
    if isinstance(source, Mapping):
        pairs: Iterable[tuple[Any, Any]] = source.items() if len(slots) == 2 else ((key, None) for key in source)
    elif isinstance(source, list):
        pairs = enumerate(source) if len(slots) == 2 else ((item, None) for item in source)
    else:
        raise _bad()
    first = slots[0]
    for key, value in pairs:
        frame[0] -= cost
        if frame[0] < 0:
            raise CostExceeded
        frame[first] = key
        if value is not None or len(slots) == 2:
            frame[slots[1]] = value
        yield key


def _quantifier(deciding: bool, cost: int) -> Callable[[Run, Run | None, Run, Slots], Run]:
    def make(source: Run, _condition: Run | None, body: Run, slots: Slots) -> Run:
        slot = slots[0] if len(slots) == 1 else 0

        def run(frame: Frame) -> bool:
            items = source(frame)
            frame[0] -= 1
            failed: CelError | None = None
            for item in items if slot and isinstance(items, list) else _each(items, frame, slots, 0):
                frame[0] -= cost
                if frame[0] < 0:
                    raise CostExceeded
                if slot:
                    frame[slot] = item
                try:
                    value = body(frame)
                except CelError as error:
                    failed = failed or error
                    continue
                if value is deciding:
                    return bool(deciding)
                if value is not True and value is not False:
                    failed = failed or _bad()
            if failed is not None:
                raise failed
            return not deciding

        return run

    return make


def _exists_one(source: Run, _condition: Run | None, body: Run, slots: Slots) -> Run:
    def run(frame: Frame) -> bool:
        found = 0
        items = source(frame)
        frame[0] -= 2
        for _ in _each(items, frame, slots, 1):
            value = body(frame)
            if value is True:
                found += 1
                frame[0] -= 1
            elif value is not False:
                raise _bad()
        return found == 1

    return run


def _map(source: Run, condition: Run | None, body: Run, slots: Slots) -> Run:
    def run(frame: Frame) -> list[Any]:
        found = []
        items = source(frame)
        frame[0] -= 11
        for _ in _each(items, frame, slots, 1):
            if condition is not None:
                wanted = condition(frame)
                if wanted is False:
                    continue
                if wanted is not True:
                    raise _bad()
            found.append(body(frame))
            frame[0] -= 11
        return found

    return run


def _filter(source: Run, _condition: Run | None, body: Run, slots: Slots) -> Run:
    def run(frame: Frame) -> list[Any]:
        found = []
        items = source(frame)
        frame[0] -= 11
        for item in _each(items, frame, slots, 1):
            wanted = body(frame)
            if wanted is True:
                found.append(item)
                frame[0] -= 12
            elif wanted is not False:
                raise _bad()
        return found

    return run


def _transform_map(*, entries: bool) -> Callable[[Run, Run | None, Run, Slots], Run]:
    def make(source: Run, condition: Run | None, body: Run, slots: Slots) -> Run:
        def run(frame: Frame) -> dict[Any, Any]:
            found: dict[Any, Any] = {}
            items = source(frame)
            frame[0] -= 31
            for key in _each(items, frame, slots, 3):
                if condition is not None and condition(frame) is not True:
                    continue
                value = body(frame)
                made = value if entries else {map_key(key): value}
                if not isinstance(made, Mapping):
                    raise _bad()
                for name, item in made.items():
                    if name in found:
                        raise CelError(f"insert failed: key {name} already exists")
                    found[name] = item
            return found

        return run

    return make


def _optional(*, flat: bool) -> Callable[[Run, Run | None, Run, Slots], Run]:
    def make(source: Run, _condition: Run | None, body: Run, slots: Slots) -> Run:
        def run(frame: Frame) -> Any:
            value = source(frame)
            frame[0] -= 12
            if type(value) is not Optional:
                raise _bad()
            if not value.has:
                return NONE
            frame[slots[0]] = value.value
            made = body(frame)
            return made if flat else Optional(made)

        return run

    return make


MACROS: Mapping[str, Callable[[Run, Run | None, Run, Slots], Run]] = {
    "all": _quantifier(False, 3), "exists": _quantifier(True, 4), "exists_one": _exists_one, "map": _map, "filter": _filter,
    "transformList": _map, "transformMap": _transform_map(entries=False), "transformMapEntry": _transform_map(entries=True),
    "optMap": _optional(flat=False), "optFlatMap": _optional(flat=True),
}
