"""The tree of an expression. Macros stand in it as what they are, not unfolded. `at` is an offset into the text."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sampan.api.cel.types import DYN, Type


@dataclass(eq=False, slots=True)
class Node:
    at: int
    type: Type = field(default=DYN, kw_only=True)
    """Set by the checker."""


@dataclass(eq=False, slots=True)
class Literal(Node):
    value: Any


@dataclass(eq=False, slots=True)
class Ident(Node):
    name: str
    slot: int = 0
    """Where the value is in the frame; 0: it is the constant `value`."""
    value: Any = None


@dataclass(eq=False, slots=True)
class Select(Node):
    operand: Node
    field: str
    test: bool = False
    """`has(operand.field)`"""
    optional: bool = False
    """`operand.?field`"""
    key: str = ""
    """The real name of the field."""


@dataclass(eq=False, slots=True)
class Call(Node):
    function: str
    target: Node | None
    args: list[Node]
    overloads: list[Any] = field(default_factory=list)


@dataclass(eq=False, slots=True)
class Logic(Node):
    """`&&` or `||` over all their operands."""

    operator: str
    args: list[Node]
    ats: list[int]


@dataclass(eq=False, slots=True)
class ListLiteral(Node):
    items: list[Node]
    optional: frozenset[int] = frozenset()


@dataclass(eq=False, slots=True)
class MapLiteral(Node):
    entries: list[tuple[Node, Node, bool]]


@dataclass(eq=False, slots=True)
class StructLiteral(Node):
    name: str
    entries: list[tuple[str, Node, bool]]


@dataclass(eq=False, slots=True)
class Macro(Node):
    """A comprehension: `kind` is the macro's name, `names` its one or two variables."""

    kind: str
    range: Node
    names: tuple[str, ...]
    condition: Node | None
    body: Node | None
    slots: tuple[int, ...] = ()


@dataclass(eq=False, slots=True)
class Bind(Node):
    """`cel.bind(name, init, body)`"""

    name: str
    init: Node
    body: Node
    slot: int = 0


def children(node: Node) -> list[Node]:
    """The parts of a node."""
    match node:
        case Select():
            return [node.operand]
        case Call():
            return ([node.target] if node.target is not None else []) + node.args
        case Logic():
            return node.args
        case ListLiteral():
            return node.items
        case MapLiteral():
            return [one for key, value, _ in node.entries for one in (key, value)]
        case StructLiteral():
            return [value for _, value, _ in node.entries]
        case Macro():
            return [one for one in (node.range, node.condition, node.body) if one is not None]
        case Bind():
            return [node.init, node.body]
    return []


def mentions(node: Node, slot: int) -> bool:
    """Whether the variable in the slot is used."""
    return (isinstance(node, Ident) and node.slot == slot) or any(mentions(one, slot) for one in children(node))
