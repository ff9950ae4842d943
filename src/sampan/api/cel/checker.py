"""Gives every part of a tree its type, every name its slot, every call its overloads; or tells what does not fit.

Source: cel-go `checker/checker.go`, `checker/errors.go` for the words.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sampan.api.cel import ast
from sampan.api.cel import types as t
from sampan.api.cel.ast import Node
from sampan.api.cel.errors import CompileError, Issue
from sampan.api.cel.library.overload import Functions, Overload
from sampan.api.cel.types import BOOL, DYN, ERROR, INT, STRING, Bound, Type, fits
from sampan.api.cel.values import TypeValue

_TYPE_NAMES = {str(one): one for one in (t.BOOL, t.INT, t.UINT, t.DOUBLE, t.STRING, t.BYTES, t.NULL)} | {
    "list": t.list_of(DYN), "map": t.map_of(DYN, DYN), "type": t.type_of(DYN), "optional_type": t.optional_of(DYN),
    "google.protobuf.Timestamp": t.TIMESTAMP, "google.protobuf.Duration": t.DURATION, "dyn": DYN,
}
_ORDERED = ("bool", "int", "uint", "double", "string", "bytes", "timestamp", "duration")
_SUMS = {("timestamp", "duration"): t.TIMESTAMP, ("duration", "timestamp"): t.TIMESTAMP, ("duration", "duration"): t.DURATION,
         ("int", "int"): INT, ("uint", "uint"): t.UINT, ("double", "double"): t.DOUBLE}
_DIFFERENCES = _SUMS | {("timestamp", "timestamp"): t.DURATION, ("timestamp", "duration"): t.TIMESTAMP}
_ARITHMETIC: dict[str, Mapping[tuple[str, str], Type]] = {
    "_+_": _SUMS | {("string", "string"): STRING, ("bytes", "bytes"): t.BYTES},
    "_-_": {key: value for key, value in _DIFFERENCES.items() if key != ("duration", "timestamp")},
    "_*_": {(str(one), str(one)): one for one in (INT, t.UINT, t.DOUBLE)},
    "_/_": {(str(one), str(one)): one for one in (INT, t.UINT, t.DOUBLE)},
    "_%_": {(str(one), str(one)): one for one in (INT, t.UINT)},
}


class Checker:
    """Checks one tree. `structs` resolves the names of struct literals."""

    def __init__(self, source: str, variables: Mapping[str, Type], slots: Mapping[str, int], functions: Functions,
                 structs: Callable[[str], Type | None], *, mixed: bool = False) -> None:
        self.source, self.functions, self.structs, self.mixed = source, functions, structs, mixed
        self.scopes: list[dict[str, tuple[Type, int]]] = [{name: (one, slots[name]) for name, one in variables.items()}]
        self.width = len(slots) + 1
        self.issues: list[Issue] = []

    def whole(self, tree: Node) -> None:
        """Raises: CompileError: Something does not fit; it has all findings."""
        self.check(tree)
        if self.issues:
            raise CompileError(self.source, sorted(self.issues, key=lambda issue: issue.offset))

    def check(self, node: Node) -> Type:
        node.type = _CHECKS[type(node)](self, node)
        return node.type

    def report(self, at: int, words: str) -> Type:
        self.issues.append(Issue(at, words))
        return ERROR

    # ---- names -----------------------------------------------------------------------------------------------------

    def lookup(self, name: str) -> tuple[Type, int] | None:
        if name.startswith("."):
            return self.scopes[0].get(name[1:])
        for scope in reversed(self.scopes):
            if name in scope:
                return scope[name]
        return None

    def declare(self, names: tuple[str, ...], types: tuple[Type, ...]) -> tuple[int, ...]:
        slots = tuple(range(self.width, self.width + len(names)))
        self.width += len(names)
        self.scopes.append({name: (one, slot) for name, one, slot in zip(names, types, slots, strict=True)})
        return slots

    def literal(self, node: ast.Literal) -> Type:
        return node.type

    def ident(self, node: ast.Ident) -> Type:
        known = self.lookup(node.name)
        if known is not None:
            node.slot = known[1]
            return known[0]
        if (named := self.type_named(node, node.name.removeprefix("."))) is not None:
            return named
        return self.report(node.at, f"undeclared reference to '{node.name.removeprefix('.')}' (in container '')")

    def type_named(self, node: ast.Ident, name: str) -> Type | None:
        found = _TYPE_NAMES.get(name) or self.structs(name)
        if found is None:
            return None
        node.value = TypeValue(name)
        return t.type_of(found)

    def qualified(self, node: Node) -> str:
        """`a.b.c`, empty if the node is no such chain or begins with a variable."""
        if isinstance(node, ast.Ident):
            return "" if self.lookup(node.name) else node.name
        if isinstance(node, ast.Select) and not node.test and not node.optional:
            inner = self.qualified(node.operand)
            return f"{inner}.{node.field}" if inner else ""
        return ""

    # ---- fields ----------------------------------------------------------------------------------------------------

    def select(self, node: ast.Select) -> Type:
        if isinstance(node.operand, ast.Ident) and (known := self.scopes[0].get(f"{node.operand.name}.{node.field}")) and not node.test:
            node.operand = ast.Ident(node.at, f"{node.operand.name}.{node.field}", slot=known[1])
            node.key = "@type"
            return known[0]
        full = self.qualified(node)
        if full and (full in _TYPE_NAMES or self.structs(full)):
            node.operand = ast.Ident(node.at, full)
            node.key = "@type"
            return self.check(node.operand)
        operand = self.check(node.operand)
        inner = operand.params[0] if operand.kind == "optional" else operand
        found = self.field(node, inner)
        if node.test:
            return BOOL if found is not ERROR else ERROR
        if found is not ERROR and (node.optional or operand.kind == "optional"):
            return found if found.kind == "optional" else t.optional_of(found)
        return found

    def field(self, node: ast.Select, operand: Type) -> Type:
        node.key = node.field
        match operand.kind:
            case "error":
                return ERROR
            case "dyn" | "param":
                return DYN
            case "map":
                return operand.params[1]
            case "object":
                found = operand.fields.get(node.field)
                if found is not None:
                    node.key = operand.keys.get(node.field, node.field)
                    return found
                return DYN if operand.open else self.report(node.at, f"undefined field '{node.field}'")
        return self.report(node.at, f"type '{operand}' does not support field selection")

    # ---- calls -----------------------------------------------------------------------------------------------------

    def logic(self, node: ast.Logic) -> Type:
        types = [self.check(arg) for arg in node.args]
        for at, (left, right) in zip(node.ats, zip([BOOL, *types][1:], types[1:], strict=False), strict=True):
            if not (fits(BOOL, left, {}) and fits(BOOL, right, {})):
                self.report(at, f"found no matching overload for '_{node.operator}_' applied to '({left}, {right})'")
                break
        return BOOL

    def call(self, node: ast.Call) -> Type:
        special = _OPERATORS.get(node.function)
        if special is not None and node.target is None:
            return special(self, node, [self.check(arg) for arg in node.args])
        if node.target is not None:
            prefix = self.qualified(node.target)
            if prefix and f"{prefix}.{node.function}" in self.functions:
                node.function, node.target = f"{prefix}.{node.function}", None
        args = [] if node.target is None else [self.check(node.target)]
        mixed, self.mixed = self.mixed, self.mixed or node.function == "format"
        args += [self.check(arg) for arg in node.args]
        self.mixed = mixed
        if node.function in ("or", "orValue") and node.target is not None and len(args) == 2:
            return self.or_value(node, args)
        name = node.function.removeprefix(".")
        overloads = self.functions.get(name)
        if overloads is None:
            return self.report(node.at, f"undeclared reference to '{name}' (in container '')")
        return self.resolve(node, overloads, args)

    def resolve(self, node: ast.Call, overloads: Any, args: list[Type]) -> Type:
        if any(arg is ERROR for arg in args):
            return ERROR
        fitting: list[Overload] = []
        results: list[Type] = []
        for overload in overloads:
            bound: Bound = {}
            if overload.member == (node.target is not None) and len(overload.params) == len(args) and all(
                    fits(wanted, found, bound) for wanted, found in zip(overload.params, args, strict=True)):
                fitting.append(overload)
                results.append(t.fill(overload.result, bound))
        if not fitting:
            return self.unfitting(node, args)
        node.overloads = fitting
        return results[0] if all(t.same(results[0], one) for one in results[1:]) else DYN

    def unfitting(self, node: ast.Call, args: list[Type]) -> Type:
        if any(arg is ERROR for arg in args):
            return ERROR
        shown = [str(arg).replace("null_type", "null") for arg in args]
        signature = f"{shown[0]}.({', '.join(shown[1:])})" if node.target is not None else f"({', '.join(shown)})"
        return self.report(node.at, f"found no matching overload for '{node.function}' applied to '{signature}'")

    def or_value(self, node: ast.Call, args: list[Type]) -> Type:
        bound: Bound = {}
        wanted = (t.optional_of(t.A), t.optional_of(t.A) if node.function == "or" else t.A)
        if not all(fits(one, found, bound) for one, found in zip(wanted, args, strict=True)):
            return self.unfitting(node, args)
        return t.fill(wanted[1], bound)

    def equality(self, node: ast.Call, args: list[Type]) -> Type:
        return BOOL if fits(args[0], args[1], {}) or fits(args[1], args[0], {}) else self.unfitting(node, args)

    def order(self, node: ast.Call, args: list[Type]) -> Type:
        a, b = args
        dynamic = a.kind in ("dyn", "error") or b.kind in ("dyn", "error")
        one = b if a.kind in ("dyn", "error") else a
        good = (dynamic and one.kind in (*_ORDERED, "dyn", "error")) or (a.kind == b.kind and a.kind in _ORDERED) \
            or (a.kind in t.NUMBERS and b.kind in t.NUMBERS)
        return BOOL if good else self.unfitting(node, args)

    def arithmetic(self, node: ast.Call, args: list[Type]) -> Type:
        a, b = args
        if a.kind == b.kind == "list" and node.function == "_+_":
            bound: Bound = {}
            if fits(t.LIST_A, a, bound) and fits(t.LIST_A, b, bound):
                return t.fill(t.LIST_A, bound)
            return self.unfitting(node, args)
        table = _ARITHMETIC[node.function]
        dynamic = ("dyn", "error", "param")
        if a.kind not in dynamic and b.kind not in dynamic:
            found = table.get((a.kind, b.kind))
            return found or self.unfitting(node, args)
        found_types = [one for (x, y), one in table.items() if a.kind in (*dynamic, x) and b.kind in (*dynamic, y)]
        if not found_types and not (node.function == "_+_" and "list" in (a.kind, b.kind)):
            return self.unfitting(node, args)
        return found_types[0] if found_types and all(one is found_types[0] for one in found_types) else DYN

    def unary(self, node: ast.Call, args: list[Type]) -> Type:
        kind = args[0].kind
        if node.function == "!_":
            return BOOL if kind in ("bool", "dyn", "error") else self.unfitting(node, args)
        return args[0] if kind in ("int", "double", "duration", "dyn", "error") else self.unfitting(node, args)

    def inside(self, node: ast.Call, args: list[Type]) -> Type:
        wanted, holder = args
        if holder.kind in ("dyn", "error") or (holder.kind in ("list", "map") and (
                fits(holder.params[0], wanted, {}) or fits(wanted, holder.params[0], {}))):
            return BOOL
        return self.unfitting(node, args)

    def index(self, node: ast.Call, args: list[Type]) -> Type:
        holder, key = args
        optional = node.function == "_[?_]" or holder.kind == "optional"
        inner = holder.params[0] if holder.kind == "optional" else holder
        if inner.kind in ("dyn", "error"):
            found = DYN
        elif inner.kind == "list" and key.kind in ("int", "dyn", "error", "uint", "double"):
            found = inner.params[0]
        elif inner.kind == "map" and (fits(inner.params[0], key, {}) or fits(key, inner.params[0], {})):
            found = inner.params[1]
        else:
            return self.unfitting(node, args)
        return t.optional_of(found) if optional else found

    def ternary(self, node: ast.Call, args: list[Type]) -> Type:
        condition, yes, no = args
        bound: Bound = {}
        if fits(BOOL, condition, {}) and fits(t.A, yes, bound) and fits(t.A, no, bound):
            return t.fill(t.A, bound)
        return self.unfitting(node, args)

    # ---- literals and macros ---------------------------------------------------------------------------------------

    def list_literal(self, node: ast.ListLiteral) -> Type:
        found = [self.check(item) for item in node.items]
        found = [self.unwrapped(node.items[at], one, optional=at in node.optional) for at, one in enumerate(found)]
        return t.list_of(self.common(node.items, found))

    def common(self, nodes: Sequence[Node], found: Sequence[Type]) -> Type:
        one = t.join(found)
        if one is DYN and not self.mixed:
            for node, other in zip(nodes, found, strict=True):
                if not (fits(found[0], other, {}) or fits(other, found[0], {})):
                    self.report(node.at, f"expected type '{found[0]}' but found '{other}'")
        return one

    def unwrapped(self, node: Node, found: Type, *, optional: bool) -> Type:
        if not optional or found.kind in ("dyn", "error"):
            return found
        if found.kind != "optional":
            return self.report(node.at, f"expected type 'optional_type({found})' but found '{found}'")
        return found.params[0]

    def map_literal(self, node: ast.MapLiteral) -> Type:
        keys = [self.check(key) for key, _, _ in node.entries]
        values = [self.unwrapped(value, self.check(value), optional=optional) for _, value, optional in node.entries]
        return t.map_of(self.common([key for key, _, _ in node.entries], keys), self.common([value for _, value, _ in node.entries], values))

    def struct(self, node: ast.StructLiteral) -> Type:
        made = self.structs(node.name)
        if made is None:
            for _, value, _ in node.entries:
                self.check(value)
            return self.report(node.at, f"undeclared reference to '{node.name}' (in container '')")
        for name, value, optional in node.entries:
            found = self.unwrapped(value, self.check(value), optional=optional)
            wanted = made.fields.get(name) or (DYN if made.open else None)
            if wanted is None:
                self.report(value.at, f"undefined field '{name}'")
            elif not fits(wanted, found, {}):
                self.report(value.at, f"expected type of field '{name}' is '{wanted}' but provided type is '{found}'")
        return made

    def macro(self, node: ast.Macro) -> Type:
        source = self.check(node.range)
        if node.kind in ("optMap", "optFlatMap"):
            return self.optional_macro(node, source)
        types = self.variables_of(node, source)
        node.slots = self.declare(node.names, types)
        if node.condition is not None:
            self.boolean(node, node.condition)
        assert node.body is not None
        if node.kind in ("map", "transformList", "transformMap", "transformMapEntry"):
            body = self.check(node.body)
        else:
            body = self.boolean(node, node.body)
        self.scopes.pop()
        match node.kind:
            case "map" | "transformList":
                return t.list_of(body)
            case "filter":
                return t.list_of(types[0])
            case "transformMap":
                return t.map_of(types[0], body)
            case "transformMapEntry":
                return body if body.kind == "map" else t.map_of(DYN, DYN)
        return BOOL

    def boolean(self, node: ast.Macro, body: Node) -> Type:
        found = self.check(body)
        if not fits(BOOL, found, {}):
            operator = {"all": "_&&_", "exists": "_||_"}.get(node.kind)
            shown = f"(bool, {found})" if operator else f"({found}, {'int, int' if node.kind == 'exists_one' else 'list(dyn), list(dyn)'})"
            self.report(node.at, f"found no matching overload for '{operator or '_?_:_'}' applied to '{shown}'")
        return BOOL

    def variables_of(self, node: ast.Macro, source: Type) -> tuple[Type, ...]:
        match source.kind:
            case "list":
                types: tuple[Type, ...] = (INT, source.params[0])
            case "map":
                types = source.params
            case "dyn" | "error" | "param":
                types = (DYN, DYN)
            case _:
                self.report(node.range.at, f"expression of type '{source}' cannot be range of a comprehension (must be list, map, or dynamic)")
                types = (ERROR, ERROR)
        if len(node.names) == 2:
            return types
        return types[1:] if source.kind == "list" else types[:1]

    def optional_macro(self, node: ast.Macro, source: Type) -> Type:
        if source.kind not in ("optional", "dyn", "error"):
            self.report(node.at, f"found no matching overload for 'hasValue' applied to '{source}.()'")
        node.slots = self.declare(node.names, (source.params[0] if source.kind == "optional" else DYN,))
        assert node.body is not None
        body = self.check(node.body)
        self.scopes.pop()
        return t.optional_of(body) if node.kind == "optMap" else body

    def bind(self, node: ast.Bind) -> Type:
        found = self.check(node.init)
        node.slot = self.declare((node.name,), (found,))[0]
        body = self.check(node.body)
        self.scopes.pop()
        return body


_CHECKS: dict[type, Callable[[Checker, Any], Type]] = {
    ast.Literal: Checker.literal, ast.Ident: Checker.ident, ast.Select: Checker.select, ast.Logic: Checker.logic,
    ast.Call: Checker.call, ast.ListLiteral: Checker.list_literal, ast.MapLiteral: Checker.map_literal, ast.StructLiteral: Checker.struct,
    ast.Macro: Checker.macro, ast.Bind: Checker.bind,
}
_OPERATORS: dict[str, Callable[[Checker, ast.Call, list[Type]], Type]] = {
    "_==_": Checker.equality, "_!=_": Checker.equality, "_<_": Checker.order, "_<=_": Checker.order, "_>_": Checker.order,
    "_>=_": Checker.order, "_+_": Checker.arithmetic, "_-_": Checker.arithmetic, "_*_": Checker.arithmetic,
    "_/_": Checker.arithmetic, "_%_": Checker.arithmetic, "!_": Checker.unary, "-_": Checker.unary, "@in": Checker.inside,
    "_[_]": Checker.index, "_[?_]": Checker.index, "_?_:_": Checker.ternary,
}
