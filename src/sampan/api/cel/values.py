"""Values of expressions: what Python has no type for, equality and order over all of them.

int, float, str, bytes, bool, None, list and dict stand for themselves (an int is CEL's int, `UInt` its uint).
Source: cel-spec `langdef.md`, "Equality", "Ordering"; cel-go `common/types`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sampan.api.cel.errors import CelError

INT_MIN, INT_MAX, UINT_MAX = -(1 << 63), (1 << 63) - 1, (1 << 64) - 1
NANO = 1_000_000_000


class UInt(int):
    """An unsigned integer. Arithmetic goes through `sampan.api.cel.arithmetic`, which keeps the type."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"{int(self)}u"


@dataclass(frozen=True, slots=True, order=True)
class Timestamp:
    nano: int
    """Since the epoch."""


@dataclass(frozen=True, slots=True, order=True)
class Duration:
    nano: int


@dataclass(frozen=True, slots=True)
class TypeValue:
    name: str


class Optional:
    """A value or none."""

    __slots__ = ("has", "value")

    def __init__(self, value: Any, *, has: bool = True) -> None:
        self.value, self.has = value, has


NONE = Optional(None, has=False)


class Opaque:
    """A value of a library. Subclasses name their type, and define `__eq__` if they have one."""

    type_name = ""
    size = 1
    """For costs."""


class SetList(list[Any]):
    """A list of x-kubernetes-list-type `set`: the order of its items does not count."""


class MapList(list[Any]):
    """A list of x-kubernetes-list-type `map`."""

    keys: tuple[str, ...] = ()

    def by_key(self) -> dict[tuple[Any, ...], Any]:
        return {tuple(item.get(key) for key in self.keys): item for item in self if isinstance(item, dict)}


class LazyMap(Mapping[str, Any]):
    """An object whose fields are worked out when they are first asked for; an error is kept and raised again."""

    def __init__(self, makers: Mapping[str, Callable[[], Any]]) -> None:
        self._makers = makers
        self._made: dict[str, tuple[Any, CelError | None]] = {}

    def __getitem__(self, key: str) -> Any:
        if key not in self._made:
            maker = self._makers[key]
            try:
                self._made[key] = (maker(), None)
            except CelError as error:
                self._made[key] = (None, error)
        value, failed = self._made[key]
        if failed is not None:
            raise failed
        return value

    def __iter__(self) -> Any:
        return iter(self._makers)

    def __len__(self) -> int:
        return len(self._makers)


@lru_cache(1024)
def _names(kind: type) -> str:
    known = {bool: "bool", int: "int", UInt: "uint", float: "double", str: "string", bytes: "bytes", type(None): "null_type",
             Timestamp: "google.protobuf.Timestamp", Duration: "google.protobuf.Duration", TypeValue: "type", Optional: "optional_type"}
    if kind in known:
        return known[kind]
    if issubclass(kind, list):
        return "list"
    if issubclass(kind, Opaque):
        return kind.type_name
    return "map" if issubclass(kind, Mapping) else kind.__name__


def type_name(value: Any) -> str:
    """The name of the type of a value."""
    kind: Any = type(value)
    return _names(kind)


_PLAIN = frozenset((int, str, bool, float, bytes, type(None), UInt, Timestamp, Duration, TypeValue))
_NUMBERS = frozenset((int, float, UInt))


def equal(a: Any, b: Any) -> bool:
    """CEL's equality: numbers compare across their types, values of different types are unequal."""
    kind, other = type(a), type(b)
    if kind is other:
        if kind in _PLAIN:
            return bool(a == b)
    elif kind in _NUMBERS and other in _NUMBERS:
        return bool(a == b)
    if isinstance(a, list):
        return isinstance(b, list) and _equal_lists(a, b)
    if isinstance(a, Mapping):
        return isinstance(b, Mapping) and len(a) == len(b) and all(key in b and equal(value, b[key]) for key, value in a.items())
    if kind is Optional and other is Optional:
        return bool(a.has == b.has) and (not a.has or equal(a.value, b.value))
    return isinstance(a, Opaque) and bool(a == b)


def _equal_lists(a: list[Any], b: list[Any]) -> bool:
    if len(a) != len(b):
        return False
    if isinstance(a, SetList) or isinstance(b, SetList):
        return all(contains(b, item) for item in a)
    if isinstance(a, MapList):
        ours, theirs = a.by_key(), MapList.by_key(_with_keys(b, a.keys))
        return len(ours) == len(theirs) and all(key in theirs and equal(item, theirs[key]) for key, item in ours.items())
    return all(map(equal, a, b))


def _with_keys(items: list[Any], keys: tuple[str, ...]) -> MapList:
    made = MapList(items)
    made.keys = keys
    return made


def joined(a: list[Any], b: list[Any]) -> list[Any]:
    """`a + b`: sets and maps of Kubernetes take what is new, or in place of what has the same key."""
    if isinstance(a, SetList):
        return SetList([*a, *(item for item in b if not contains(a, item))])
    if isinstance(a, MapList):
        merged = a.by_key() | _with_keys(b, a.keys).by_key()
        return _with_keys(list(merged.values()), a.keys)
    return [*a, *b]


def contains(items: Any, wanted: Any) -> bool:
    """Whether the list has an item equal to it."""
    kind = type(wanted)
    if kind is str:
        return wanted in items
    return any(equal(item, wanted) for item in items)


def map_key(value: Any) -> Any:
    """The value as a key of maps.

    Raises:
        CelError: It cannot be one.
    """
    kind = type(value)
    if kind is str or kind is int or kind is bool or kind is UInt:
        return value
    if kind is float and value.is_integer():
        return int(value)
    if kind is float:
        return value
    raise CelError(f"unsupported key type: {type_name(value)}")


def size_of(value: Any) -> int:
    """What a value counts for costs: items, characters, else 1."""
    kind = type(value)
    if kind is str or kind is list or kind is dict or kind is bytes:
        return len(value)
    if kind is Optional:
        return size_of(value.value) if value.has else 1
    if isinstance(value, (list, Mapping)):
        return len(value)
    return value.size if isinstance(value, Opaque) else 1
