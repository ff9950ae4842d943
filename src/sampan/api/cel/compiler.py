"""A checked tree to Python closures: each takes the frame and returns a value.

The frame is a list: what is left of the budget, then the variables, then the macros' own. Costs are upstream's;
cheap steps only count, and whoever can repeat or take long (loops, functions over sizes) looks whether anything is left.
Source: cel-go `interpreter/{planner,interpretable,runtimecost}.go`.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

from sampan.api.cel import arithmetic, ast
from sampan.api.cel.ast import Node
from sampan.api.cel.errors import CelError, CostExceeded
from sampan.api.cel.library.overload import Overload
from sampan.api.cel.macros import MACROS
from sampan.api.cel.types import Type
from sampan.api.cel.values import NONE, Duration, Opaque, Optional, Timestamp, TypeValue, UInt, equal, map_key, size_of

Frame = list[Any]
Run = Callable[[Frame], Any]
_SCALARS = frozenset(("int", "uint", "double", "bool"))
_DIRECT: dict[str, Callable[[Any, Any], Any]] = {
    "_==_": operator.eq, "_!=_": operator.ne, "_<_": operator.lt, "_<=_": operator.le, "_>_": operator.gt, "_>=_": operator.ge,
}
_GENERAL: dict[str, Callable[[Any, Any], Any]] = {
    "_==_": equal, "_!=_": arithmetic.not_equal, "_<_": arithmetic.less, "_<=_": arithmetic.less_equal, "_>_": arithmetic.greater,
    "_>=_": arithmetic.greater_equal, "_+_": arithmetic.add, "_-_": arithmetic.subtract, "_*_": arithmetic.multiply,
    "_/_": arithmetic.divide, "_%_": arithmetic.modulo, "@in": arithmetic.is_in,
}


def build(node: Node) -> Run:
    """The closure of a checked tree."""
    return _BUILDERS[type(node)](node)


def no_overload() -> CelError:
    return CelError("no such overload")


def _literal(node: ast.Literal) -> Run:
    value = node.value
    return lambda frame: value


def _ident(node: ast.Ident) -> Run:
    slot, value = node.slot, node.value

    def load(frame: Frame) -> Any:
        frame[0] -= 1
        return frame[slot]

    return load if slot else lambda frame: value


# ---- fields --------------------------------------------------------------------------------------------------------


def get(value: Any, key: str) -> Any:
    """A field of an object or map.

    Raises:
        CelError: It has none of that name, or is no object.
    """
    try:
        return value[key]
    except KeyError:
        raise CelError(f"no such key: {key}") from None
    except TypeError:
        if type(value) is Optional:
            return optional_get(value, key)
        raise no_overload() from None


def optional_get(value: Any, key: Any) -> Optional:
    """`value.?key`, `value[?key]`; a none stays one."""
    if type(value) is Optional:
        if not value.has:
            return NONE
        value = value.value
    if isinstance(value, Mapping):
        return Optional(value[key]) if key in value else NONE
    if isinstance(value, list) and type(key) in (int, UInt):
        return Optional(value[key]) if 0 <= key < len(value) else NONE
    raise no_overload()


def _select(node: ast.Select) -> Run:
    if node.key == "@type":
        return build(node.operand)
    if node.test or node.optional or node.operand.type.kind == "optional":
        return _other_select(node)
    keys = [node.key]
    inner = node.operand
    while isinstance(inner, ast.Select) and not inner.test and not inner.optional and inner.key != "@type" \
            and inner.operand.type.kind != "optional":
        keys.append(inner.key)
        inner = inner.operand
    keys.reverse()
    if isinstance(inner, ast.Ident) and inner.slot:
        return _path(inner.slot, keys)
    source, cost = build(inner), len(keys)

    def walk(frame: Frame) -> Any:
        value = source(frame)
        frame[0] -= cost
        for key in keys:
            value = get(value, key)
        return value

    return walk


def _path(slot: int, keys: list[str]) -> Run:
    cost = len(keys) + 1

    def walk(frame: Frame) -> Any:
        frame[0] -= cost
        value = frame[slot]
        for key in keys:
            try:
                value = value[key]
            except (KeyError, TypeError):
                value = get(value, key)
        return value

    return walk


def _other_select(node: ast.Select) -> Run:
    source, key, test = build(node.operand), node.key, node.test

    def select(frame: Frame) -> Any:
        value = source(frame)
        frame[0] -= 1
        if not test:
            return optional_get(value, key)
        if type(value) is dict:
            return key in value
        return optional_get(value, key).has

    return select


# ---- operators -----------------------------------------------------------------------------------------------------


def _logic(node: ast.Logic) -> Run:
    deciding = node.operator == "||"
    terms = [build(arg) for arg in node.args]

    def logic(frame: Frame) -> bool:
        failed: CelError | None = None
        for term in terms:
            try:
                value = term(frame)
            except CelError as error:
                failed = failed or error
                continue
            if value is deciding:
                return bool(deciding)
            if value is not True and value is not False:
                failed = failed or no_overload()
        if failed is not None:
            raise failed
        return not deciding

    return logic


def _not(args: list[Run]) -> Run:
    inner, = args

    def negation(frame: Frame) -> bool:
        value = inner(frame)
        frame[0] -= 1
        if value is True:
            return False
        if value is False:
            return True
        raise no_overload()

    return negation


def _minus(args: list[Run]) -> Run:
    inner, = args

    def minus(frame: Frame) -> Any:
        value = inner(frame)
        frame[0] -= 1
        return arithmetic.negate(value)

    return minus


def _ternary(args: list[Run]) -> Run:
    condition, yes, no = args

    def choose(frame: Frame) -> Any:
        value = condition(frame)
        if value is True:
            return yes(frame)
        if value is False:
            return no(frame)
        raise no_overload()

    return choose


def _scalar(do: Callable[[Any, Any], Any], left: Run, right: Run) -> Run:
    def compare(frame: Frame) -> Any:
        one, other = left(frame), right(frame)
        frame[0] -= 1
        try:
            return do(one, other)
        except TypeError:
            raise no_overload() from None

    return compare


def _texts(do: Callable[[Any, Any], Any], left: Run, right: Run) -> Run:
    def compare(frame: Frame) -> Any:
        one, other = left(frame), right(frame)
        try:
            short = min(len(other), len(one))
            frame[0] -= (short + 9) // 10
            return do(one, other)
        except TypeError:
            raise no_overload() from None

    return compare


def _binary(node: ast.Call, args: list[Run]) -> Run:
    (left, right), name = args, node.function
    kinds = {arg.type.kind for arg in node.args}
    if name in _DIRECT and len(kinds) == 1:
        if kinds <= _SCALARS:
            return _scalar(_DIRECT[name], left, right)
        if kinds <= {"string", "bytes"}:
            return _texts(_DIRECT[name], left, right)
    do = _GENERAL[name]
    cost = _COSTS.get(name, _constant)

    def operate(frame: Frame) -> Any:
        one, other = left(frame), right(frame)
        frame[0] -= cost(one, other)
        if frame[0] < 0:
            raise CostExceeded
        return do(one, other)

    return operate


def _constant(a: Any, b: Any) -> int:
    return 1


def _shorter(a: Any, b: Any) -> int:
    return (min(size_of(a), size_of(b)) + 9) // 10


def _sum(a: Any, b: Any) -> int:
    return (len(a) + len(b) + 9) // 10 if type(a) in (str, bytes) and type(b) in (str, bytes) else 1


def _in(a: Any, b: Any) -> int:
    return len(b) if isinstance(b, list) else 1


_COSTS: dict[str, Callable[[Any, Any], int]] = {
    "_==_": _shorter, "_!=_": _shorter, "_+_": _sum, "@in": _in,
    "_<_": _shorter, "_<=_": _shorter, "_>_": _shorter, "_>=_": _shorter,
}


def _index(node: ast.Call, args: list[Run]) -> Run:
    holder, key = args
    optional = node.function == "_[?_]"

    def index(frame: Frame) -> Any:
        value, at = holder(frame), key(frame)
        frame[0] -= 1
        if optional or type(value) is Optional:
            return optional_get(value, at)
        return arithmetic.index(value, at)

    return index


# ---- functions -----------------------------------------------------------------------------------------------------

_CLASSES: dict[str, tuple[type, ...]] = {
    "int": (int,), "uint": (UInt,), "double": (float,), "bool": (bool,), "string": (str,), "bytes": (bytes,), "null": (type(None),),
    "timestamp": (Timestamp,), "duration": (Duration,), "type": (TypeValue,), "optional": (Optional,),
}


def accepts(wanted: Type, value: Any) -> bool:
    """Whether a value may be given where the type is wanted."""
    kind = wanted.kind
    if kind in _CLASSES:
        return type(value) in _CLASSES[kind]
    if kind == "list":
        return isinstance(value, list) and (not value or accepts(wanted.params[0], value[0]))
    if kind in ("map", "object"):
        return isinstance(value, Mapping)
    return kind != "opaque" or (isinstance(value, Opaque) and value.type_name == wanted.name)


def _function(overloads: list[Overload], args: list[Run], types: list[Type]) -> Run:
    known = len(overloads) == 1 and all(one.kind not in ("dyn", "error", "param") and not _loose(one) for one in types)
    first = overloads[0]

    def pick(values: list[Any]) -> Overload:
        for overload in overloads:
            if all(map(accepts, overload.params, values)):
                return overload
        raise no_overload()

    def call(frame: Frame) -> Any:
        values = [arg(frame) for arg in args]
        overload = first if known else pick(values)
        try:
            if overload.cost is None:
                frame[0] -= 1
                return overload.do(*values)
            # what a call costs by its arguments is paid before it works
            prepaid = overload.cost(values, None)
            if prepaid > frame[0]:
                raise CostExceeded
            result = overload.do(*values)
        except (TypeError, AttributeError):  # a null where the schema has another type
            raise no_overload() from None
        frame[0] -= overload.cost(values, result)
        if frame[0] < 0:
            raise CostExceeded
        return result

    return call


def _loose(one: Type) -> bool:
    return any(inner.kind in ("dyn", "param") or _loose(inner) for inner in one.params)


def _or_value(node: ast.Call) -> Run:
    assert node.target is not None
    source, other, whole = build(node.target), build(node.args[0]), node.function == "or"

    def choose(frame: Frame) -> Any:
        value = source(frame)
        frame[0] -= 1
        if type(value) is not Optional:
            raise no_overload()
        if value.has:
            return value if whole else value.value
        return other(frame)

    return choose


def _call(node: ast.Call) -> Run:
    if node.function in ("or", "orValue") and not node.overloads:
        return _or_value(node)
    args = ([] if node.target is None else [build(node.target)]) + [build(arg) for arg in node.args]
    if node.overloads:
        types = ([] if node.target is None else [node.target.type]) + [arg.type for arg in node.args]
        return _function(node.overloads, args, types)
    if node.function in ("_[_]", "_[?_]"):
        return _index(node, args)
    simple = {"!_": _not, "-_": _minus, "_?_:_": _ternary}.get(node.function)
    return simple(args) if simple else _binary(node, args)


# ---- literals ------------------------------------------------------------------------------------------------------


def _list(node: ast.ListLiteral) -> Run:
    if all(isinstance(item, ast.Literal) for item in node.items) and not node.optional:
        constant = [item.value for item in node.items if isinstance(item, ast.Literal)]

        def ready(frame: Frame) -> Any:
            frame[0] -= 10
            return constant

        return ready
    items = [(build(item), at in node.optional) for at, item in enumerate(node.items)]

    def make(frame: Frame) -> Any:
        found = []
        for item, optional in items:
            value = item(frame)
            if not optional:
                found.append(value)
            elif type(value) is not Optional:
                raise no_overload()
            elif value.has:
                found.append(value.value)
        frame[0] -= 10
        return found

    return make


def _map(node: ast.MapLiteral) -> Run:
    entries = [(build(key), build(value), optional) for key, value, optional in node.entries]

    def make(frame: Frame) -> Any:
        found: dict[Any, Any] = {}
        for key, value, optional in entries:
            name = map_key(key(frame))
            item = value(frame)
            if optional:
                if type(item) is not Optional:
                    raise no_overload()
                if not item.has:
                    continue
                item = item.value
            if name in found:
                raise CelError(f"Failed with repeated key: {name}")
            found[name] = item
        frame[0] -= 30
        return found

    return make


def _struct(node: ast.StructLiteral) -> Run:
    entries = [(name, build(value), optional) for name, value, optional in node.entries]
    keys = node.type.keys

    def make(frame: Frame) -> Any:
        found = {}
        for name, value, optional in entries:
            item = value(frame)
            if not optional:
                found[keys.get(name, name)] = item
            elif type(item) is not Optional:
                raise no_overload()
            elif item.has:
                found[keys.get(name, name)] = item.value
        frame[0] -= 40
        return found

    return make


def _macro(node: ast.Macro) -> Run:
    assert node.body is not None
    condition = build(node.condition) if node.condition is not None else None
    return MACROS[node.kind](build(node.range), condition, build(node.body), node.slots)


def _bind(node: ast.Bind) -> Run:
    init, body, slot = build(node.init), build(node.body), node.slot

    def bound(frame: Frame) -> Any:
        frame[0] -= 10
        frame[slot] = init(frame)
        return body(frame)

    return bound


_BUILDERS: dict[type, Callable[[Any], Run]] = {
    ast.Literal: _literal, ast.Ident: _ident, ast.Select: _select, ast.Logic: _logic, ast.Call: _call, ast.ListLiteral: _list,
    ast.MapLiteral: _map, ast.StructLiteral: _struct, ast.Macro: _macro, ast.Bind: _bind,
}
