"""What an expression may cost at most, told before it runs, from the sizes that its types allow.

Costs and sizes are pairs (least, most) and never grow beyond `MOST`.
Source: cel-go `checker/cost.go`; apiserver `pkg/cel/library/cost.go`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from sampan.api.cel import ast
from sampan.api.cel.ast import Node
from sampan.api.cel.types import Type

MOST = (1 << 64) - 1
Range = tuple[int, int]
UNKNOWN: Range = (0, MOST)
ONE: Range = (1, 1)
_SCALARS = frozenset(("bool", "double", "duration", "int", "timestamp", "uint"))


def plus(*ranges: Range) -> Range:
    return min(MOST, sum(one[0] for one in ranges)), min(MOST, sum(one[1] for one in ranges))


def times(a: Range, b: Range) -> Range:
    return min(MOST, a[0] * b[0]), min(MOST, a[1] * b[1])


def factor(a: Range, by: float) -> Range:
    low, high = (MOST if one >= MOST else min(MOST, math.ceil(one * by)) for one in a)
    return low, high


def union(a: Range, b: Range) -> Range:
    return min(a[0], b[0]), max(a[1], b[1])


def estimate(tree: Node) -> Range:
    """What a checked tree may cost."""
    return _Estimate().cost(tree)


class _Estimate:
    def __init__(self) -> None:
        self.sizes: dict[int, Range] = {}
        self.bound: dict[int, Range] = {}

    # ---- sizes -----------------------------------------------------------------------------------------------------

    def size(self, node: Node) -> Range:
        """How long a value may be. Asked after the node's cost."""
        if id(node) in self.sizes:
            return self.sizes[id(node)]
        match node:
            case ast.Literal():
                length = len(node.value) if isinstance(node.value, str | bytes) else 1
                return length, length
            case ast.ListLiteral():
                return len(node.items), len(node.items)
            case ast.MapLiteral():
                return len(node.entries), len(node.entries)
            case ast.Ident() if node.slot in self.bound:
                return self.bound[node.slot]
        return self.of_type(node.type)

    @staticmethod
    def of_type(type: Type) -> Range:
        if type.kind == "optional" and type.params:
            type = type.params[0]
        if type.most is not None:
            return 0, type.most
        return ONE if type.kind in _SCALARS else UNKNOWN

    # ---- costs -----------------------------------------------------------------------------------------------------

    def cost(self, node: Node) -> Range:
        match node:
            case ast.Ident():
                return ONE
            case ast.Select():
                return self._select(node)
            case ast.Logic():
                costs = [self.cost(arg) for arg in node.args]
                return costs[0][0], min(MOST, sum(one[1] for one in costs))
            case ast.Call():
                return self._call(node)
            case ast.ListLiteral():
                return plus((10, 10), *map(self.cost, node.items))
            case ast.MapLiteral() | ast.StructLiteral():
                base = 30 if isinstance(node, ast.MapLiteral) else 40
                return plus((base, base), *map(self.cost, ast.children(node)))
            case ast.Macro():
                return self._macro(node)
            case ast.Bind():
                init = self.cost(node.init)
                self.bound[node.slot] = self.size(node.init)
                body = self.cost(node.body)
                self.sizes[id(node)] = self.size(node.body)
                return plus((10, 10), init, body)
        return 0, 0

    def _select(self, node: ast.Select) -> Range:
        if node.key == "@type":
            return ONE
        inner = self.cost(node.operand)
        paid = node.test or node.optional or node.operand.type.kind in ("map", "object", "dyn", "optional")
        return plus(inner, ONE) if paid else inner

    def _call(self, node: ast.Call) -> Range:
        args = ([] if node.target is None else [node.target]) + node.args
        costs = [self.cost(arg) for arg in args]
        if node.function == "_?_:_":
            self.sizes[id(node)] = union(self.size(args[1]), self.size(args[2]))
            return plus(costs[0], union(costs[1], costs[2]))
        if node.function == "dyn":
            self.sizes[id(node)] = self.size(args[0])
        sizes = [self.size(arg) for arg in args]
        names = {overload.estimate for overload in node.overloads} or {_OPERATORS.get(node.function, "")}
        spent: Range | None = None
        for name in names:
            own, result = _FUNCTIONS[name](sizes, args) if name in _FUNCTIONS else (ONE, None)
            spent = own if spent is None else union(spent, own)
            if result is not None:
                known = self.sizes.get(id(node))
                self.sizes[id(node)] = result if known is None else union(known, result)
        assert spent is not None
        return plus(spent, *costs)

    def _macro(self, node: ast.Macro) -> Range:
        source = self.cost(node.range)
        size = self.size(node.range)
        condition = self.cost(node.condition) if node.condition is not None else (0, 0)
        assert node.body is not None
        body = self.cost(node.body)
        before, step = _steps(node.kind, condition, body, filtered=node.condition is not None)
        if node.kind not in ("optMap", "optFlatMap"):
            step = times(size, step)
        if node.kind in ("map", "filter", "transformList", "transformMap", "transformMapEntry"):
            self.sizes[id(node)] = (0 if node.kind == "filter" else size[0], size[1])
        return plus(source, (before, before), step)


def _steps(kind: str, condition: Range, body: Range, *, filtered: bool) -> tuple[int, Range]:
    """What a macro costs once, and for each item."""
    match kind:
        case "all":
            return 1, (3, min(MOST, body[1] + 3))
        case "exists":
            return 1, (4, min(MOST, body[1] + 4))
        case "exists_one":
            return 2, plus(body, (1, 2))
        case "filter":
            return 11, plus(body, (1, 13))
        case "map" | "transformList":
            step = plus(body, (12, 12))
            return 11, plus(condition, union(step, ONE)) if filtered else step
        case "transformMap" | "transformMapEntry":
            step = plus(body, (3, 3))
            return 31, plus(condition, union(step, ONE)) if filtered else step
    return 12, body


# ---- functions -----------------------------------------------------------------------------------------------------

Told = tuple[Range, Range | None]
Sizes = Sequence[Range]


def _regex(sizes: Sizes, _: Sequence[Node]) -> Told:
    return times(factor(plus(sizes[0], ONE), 0.1), factor(sizes[1], 0.25)), (0, sizes[0][1])


def _compare(sizes: Sizes, _: Sequence[Node]) -> Told:
    most = min(sizes[0][1], sizes[1][1])
    return factor((1 if most else 0, most), 0.1), None


def _concat(sizes: Sizes, args: Sequence[Node]) -> Told:
    result = plus(*sizes)
    kinds = {arg.type.kind for arg in args}
    if kinds & {"string", "bytes"}:
        return factor(result, 0.1), result
    if "list" in kinds:
        return ONE, result
    return union(ONE, factor(result, 0.1)) if kinds == {"dyn"} else ONE, result if kinds == {"dyn"} else None


def _items(sizes: Sizes, args: Sequence[Node]) -> Told:
    if args[0].type.kind != "list":
        return factor(sizes[0], 0.1), None
    item = args[0].type.params[0]
    each = plus(ONE, factor(_Estimate.of_type(item), 0.1)) if item.kind in ("string", "bytes") else ONE
    return times(sizes[0], each), None


def _replace(sizes: Sizes, _: Sequence[Node]) -> Told:
    text, old, new = sizes[:3]
    if old[0] == 0:
        most = min(MOST, text[1] + (text[1] + 1) * new[1])
    else:
        most = text[1] if new[1] <= old[0] else min(MOST, math.ceil(text[1] / old[0]) * new[1])
    return factor(text, 0.2), (0, most)


def _split(sizes: Sizes, args: Sequence[Node]) -> Told:
    limit = args[2] if len(args) > 2 else None
    most = limit.value if isinstance(limit, ast.Literal) and limit.value >= 0 else sizes[0][1]
    return factor(sizes[0], 0.2), (0, most)


def _join(sizes: Sizes, args: Sequence[Node]) -> Told:
    item = args[0].type.params[0] if args[0].type.params else args[0].type
    result = times(sizes[0], _Estimate.of_type(item))
    if len(sizes) > 1:
        result = plus(result, times(sizes[1], (max(0, sizes[0][0] - 1), max(0, sizes[0][1] - 1))))
    return factor(result, 0.1), result


def _network(sizes: Sizes, _: Sequence[Node]) -> Told:
    return plus(factor((8, 32), 0.1), factor((4, 16), 0.1), ONE), None


_FUNCTIONS: dict[str, Callable[[Sizes, Sequence[Node]], Told]] = {
    "compare": _compare, "concat": _concat, "regex": _regex, "find": _regex, "items": _items, "replace": _replace, "split": _split,
    "join": _join, "network": _network,
    "free_regex": lambda sizes, _: (ONE, None),
    "in": lambda sizes, args: (sizes[1] if args[1].type.kind == "list" else union(ONE, sizes[1]) if args[1].type.kind == "dyn" else ONE, None),
    "scan": lambda sizes, _: (factor(sizes[0], 0.1), None),
    "copy": lambda sizes, _: (factor(sizes[0], 0.1), sizes[0]),
    "parse": lambda sizes, _: (factor(sizes[0], 0.1), None),
    "parse_twice": lambda sizes, _: (factor(sizes[0], 0.2), None),
    "prefix": lambda sizes, _: (factor(sizes[1], 0.1), None),
    "contains": lambda sizes, _: (times(factor(sizes[0], 0.1), factor(sizes[1], 0.1)), None),
    "product": lambda sizes, _: (plus(times(sizes[0], sizes[1]), ONE), None),
    "format": lambda sizes, _: (factor(sizes[0], 0.1), None),
    "quote": lambda sizes, _: (factor(sizes[0], 0.1), (sizes[0][0] + 2, min(MOST, sizes[0][1] * 2 + 2))),
    "string_to_bytes": lambda sizes, _: (factor(sizes[0], 0.1), (sizes[0][0], min(MOST, sizes[0][1] * 4))),
    "bytes_to_string": lambda sizes, _: (factor(sizes[0], 0.1), (sizes[0][0] // 4, sizes[0][1])),
    "check": lambda sizes, _: ((350_000, 350_000), None),
}
_OPERATORS = {"_==_": "compare", "_!=_": "compare", "_<_": "compare", "_<=_": "compare", "_>_": "compare", "_>=_": "compare",
              "_+_": "concat", "@in": "in"}
