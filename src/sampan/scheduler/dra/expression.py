"""The part of CEL that device selectors use: one device in, true or false out.

Owns reading and evaluating; costs are bounded by the length of an expression and of what it walks over. Missing keys are
errors, which `&&`, `||` absorb as CEL says. Source: cel-spec `langdef.md`, KEP-4381 (the environment of `device`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from sampan.api import quantity
from sampan.lib.errors import SampanError

MOST_LENGTH = 10 * 1024
MOST_DEPTH = 100
_TOKEN = re.compile(r"""\s*(?:(?P<number>0x[0-9a-fA-F]+u?|\d+\.\d+(?:[eE][+-]?\d+)?|\d+(?:[eE][+-]?\d+|u)?)
    |(?P<string>r?"(?:\\.|[^"\\])*"|r?'(?:\\.|[^'\\])*')|(?P<name>[A-Za-z_]\w*)|(?P<mark>&&|\|\||[=!<>]=|[-+*/%!<>?:.,()\[\]{}]))""", re.VERBOSE)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\", '"': '"', "'": "'"}
Scope = Mapping[str, Any]
Evaluate = Callable[[Scope], Any]


class ExpressionError(SampanError):
    """An expression cannot be read, or has no value for this device."""


class Quantity(int):
    """A quantity, in billionths."""


class Version(tuple[Any, ...]):
    """A semantic version, in the order of semver.org."""

    __slots__ = ()


class Domains(dict[str, Any]):
    """What is asked of a driver that gave nothing is an empty map, not an error."""

    def __missing__(self, key: str) -> dict[str, Any]:
        return {}


def version(text: str) -> Version:
    """Read a semantic version.

    Raises:
        ExpressionError: It is none.
    """
    found = re.fullmatch(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(?:-([0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z.-]+)?", text)
    if found is None:
        raise ExpressionError(f"{text!r} is no semantic version")
    before = tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in found[4].split(".")) if found[4] else ()
    return Version((int(found[1]), int(found[2]), int(found[3]), not before, before))


@lru_cache(maxsize=1024)
def compile_expression(text: str) -> Callable[[Scope], bool]:
    """A function of the variables.

    Raises:
        ExpressionError: The text cannot be read.
    """
    if len(text) > MOST_LENGTH:
        raise ExpressionError("the expression is too long")
    parser = _Parser(text)
    tree = parser.expression()
    parser.expect("end")

    def evaluate(scope: Scope) -> bool:
        value = tree(scope)
        if not isinstance(value, bool):
            raise ExpressionError(f"the expression gave {type(value).__name__}, not a boolean")
        return value

    return evaluate


class _Parser:
    def __init__(self, text: str) -> None:
        self._tokens: list[tuple[str, str]] = []
        position = 0
        while text[position:].strip():
            found = _TOKEN.match(text, position)
            if found is None:
                raise ExpressionError(f"cannot read {text[position:position + 20]!r}")
            position = found.end()
            kind = str(found.lastgroup)
            self._tokens.append((kind, found[kind]))
        self._tokens.append(("end", "end"))
        self._at, self._depth = 0, 0

    def _peek(self) -> str:
        kind, text = self._tokens[self._at]
        return "" if kind == "string" else text

    def _take(self) -> tuple[str, str]:
        self._at += 1
        return self._tokens[self._at - 1]

    def expect(self, text: str) -> None:
        if self._peek() != text:
            raise ExpressionError(f"expected {text!r} before {self._peek()!r}")
        self._at += 1

    def _accept(self, *texts: str) -> str:
        found = self._peek()
        if found in texts and self._tokens[self._at][0] != "end":
            self._at += 1
            return found
        return ""

    def expression(self) -> Evaluate:
        self._depth += 1
        if self._depth > MOST_DEPTH:
            raise ExpressionError("the expression is nested too deeply")
        condition = self._or()
        if self._accept("?"):
            yes = self.expression()
            self.expect(":")
            no = self.expression()
            test = condition
            condition = lambda scope: yes(scope) if test(scope) is True else no(scope)  # noqa: E731
        self._depth -= 1
        return condition

    def _or(self) -> Evaluate:
        left = self._and()
        while self._accept("||"):
            left = _absorbing(left, self._and(), wins=True)
        return left

    def _and(self) -> Evaluate:
        left = self._relation()
        while self._accept("&&"):
            left = _absorbing(left, self._relation(), wins=False)
        return left

    def _relation(self) -> Evaluate:
        left = self._sum()
        while sign := self._accept("==", "!=", "<=", ">=", "<", ">", "in"):
            left = _binary(_RELATIONS[sign], left, self._sum())
        return left

    def _sum(self) -> Evaluate:
        left = self._product()
        while sign := self._accept("+", "-"):
            left = _binary(_ARITHMETIC[sign], left, self._product())
        return left

    def _product(self) -> Evaluate:
        left = self._unary()
        while sign := self._accept("*", "/", "%"):
            left = _binary(_ARITHMETIC[sign], left, self._unary())
        return left

    def _unary(self) -> Evaluate:
        if self._accept("!"):
            inner = self._unary()
            return lambda scope: not _boolean(inner(scope))
        if self._accept("-"):
            inner = self._unary()
            return lambda scope: -_number(inner(scope))
        return self._member()

    def _member(self) -> Evaluate:
        value = self._primary()
        while sign := self._accept(".", "["):
            if sign == "[":
                index = self.expression()
                self.expect("]")
                value = _binary(_index, value, index)
                continue
            kind, name = self._take()
            if kind != "name":
                raise ExpressionError(f"expected a name after '.', not {name!r}")
            value = self._call(value, name) if self._accept("(") else _select(value, name)
        return value

    def _call(self, value: Evaluate, name: str) -> Evaluate:
        if name in _MACROS:
            kind, variable = self._take()
            if kind != "name":
                raise ExpressionError(f"{name} needs a variable")
            self.expect(",")
            body = self.expression()
            self.expect(")")
            return _macro(_MACROS[name], value, variable, body)
        arguments = self._arguments()
        method = _METHODS.get(name)
        if method is None:
            raise ExpressionError(f"there is no function {name!r}")
        return lambda scope: _checked(method, value(scope), *(one(scope) for one in arguments))

    def _arguments(self, end: str = ")") -> list[Evaluate]:
        out: list[Evaluate] = []
        while not self._accept(end):
            if out:
                self.expect(",")
            out.append(self.expression())
        return out

    def _primary(self) -> Evaluate:
        kind, text = self._take()
        if kind == "number":
            number = _literal(text)
            return lambda _scope: number
        if kind == "string":
            string = _unquoted(text)
            return lambda _scope: string
        if text == "(":
            inner = self.expression()
            self.expect(")")
            return inner
        if text == "[":
            items = self._arguments("]")
            return lambda scope: [one(scope) for one in items]
        if kind != "name":
            raise ExpressionError(f"did not expect {text!r}")
        return self._named(text)

    def _named(self, name: str) -> Evaluate:
        if name in ("true", "false", "null"):
            constant = {"true": True, "false": False, "null": None}[name]
            return lambda _scope: constant
        if not self._accept("("):
            return lambda scope: _index(scope, name)
        if name == "has":
            inner = self.expression()
            self.expect(")")
            return lambda scope: _exists(inner, scope)
        function = _FUNCTIONS.get(name)
        if function is None:
            raise ExpressionError(f"there is no function {name!r}")
        arguments = self._arguments()
        return lambda scope: _checked(function, *(one(scope) for one in arguments))


def _literal(text: str) -> int | float:
    plain = text.rstrip("u")
    if plain.startswith("0x"):
        return int(plain, 16)
    return float(plain) if any(mark in plain for mark in ".eE") else int(plain)


def _unquoted(text: str) -> str:
    if text.startswith("r"):
        return text[2:-1]
    return re.sub(r"\\(.)", lambda found: _ESCAPES.get(found[1], found[1]), text[1:-1])


def _absorbing(left: Evaluate, right: Evaluate, *, wins: bool) -> Evaluate:
    """`||` (wins: true) and `&&` (wins: false): the winning side hides an error of the other."""

    def evaluate(scope: Scope) -> bool:
        try:
            first = _boolean(left(scope))
        except ExpressionError:
            if _boolean(right(scope)) is wins:
                return wins
            raise
        return first if first is wins else _boolean(right(scope))

    return evaluate


def _binary(function: Callable[[Any, Any], Any], left: Evaluate, right: Evaluate) -> Evaluate:
    return lambda scope: _checked(function, left(scope), right(scope))


def _checked(function: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return function(*arguments)
    except (TypeError, ValueError, ZeroDivisionError, AttributeError, re.error) as error:
        raise ExpressionError(f"no such overload: {error}") from None


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ExpressionError("no such overload: a boolean is needed")
    return value


def _number(value: Any) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ExpressionError("no such overload: a number is needed")
    return value


def _index(value: Any, key: Any) -> Any:
    if isinstance(value, Mapping):
        try:
            return value[key]
        except KeyError:
            raise ExpressionError(f"no such key: {key}") from None
    if isinstance(value, list) and isinstance(key, int) and 0 <= key < len(value):
        return value[key]
    raise ExpressionError(f"no such key: {key}")


def _select(value: Evaluate, name: str) -> Evaluate:
    return lambda scope: _index(value(scope), name)


def _exists(inner: Evaluate, scope: Scope) -> bool:
    try:
        inner(scope)
    except ExpressionError:
        return False
    return True


def _macro(kind: Callable[[list[bool]], bool], value: Evaluate, variable: str, body: Evaluate) -> Evaluate:
    return lambda scope: kind([_boolean(body({**scope, variable: one})) for one in value(scope)])


def _equal(left: Any, right: Any) -> bool:
    if isinstance(left, bool) != isinstance(right, bool):
        return False
    return bool(left == right)


def _ordered(left: Any, right: Any) -> None:
    numbers = isinstance(left, int | float) and isinstance(right, int | float)
    if isinstance(left, bool) or isinstance(right, bool) or not (numbers or type(left) is type(right)):
        raise TypeError("values of different kinds have no order")


def _less(left: Any, right: Any) -> bool:
    _ordered(left, right)
    return bool(left < right)


def _divided(left: Any, right: Any) -> Any:
    if isinstance(left, int) and isinstance(right, int):
        return int(abs(left) // abs(right) * (1 if (left < 0) == (right < 0) else -1))  # towards zero
    return left / right


_RELATIONS: Mapping[str, Callable[[Any, Any], Any]] = {
    "==": _equal, "!=": lambda a, b: not _equal(a, b), "<": _less, ">": lambda a, b: _less(b, a),
    "<=": lambda a, b: not _less(b, a), ">=": lambda a, b: not _less(a, b), "in": lambda a, b: a in b,
}
_ARITHMETIC: Mapping[str, Callable[[Any, Any], Any]] = {
    "+": lambda a, b: a + b, "-": lambda a, b: a - b, "*": lambda a, b: a * b, "/": _divided, "%": lambda a, b: a - _divided(a, b) * b,
}
_MACROS: Mapping[str, Callable[[list[bool]], bool]] = {"exists": any, "all": all, "exists_one": lambda found: sum(found) == 1}
_METHODS: Mapping[str, Callable[..., Any]] = {
    "startsWith": str.startswith, "endsWith": str.endswith, "contains": lambda text, part: part in text,
    "matches": lambda text, pattern: re.search(pattern, text) is not None, "size": len, "lowerAscii": str.lower, "upperAscii": str.upper,
    "compareTo": lambda a, b: (a > b) - (a < b), "isGreaterThan": lambda a, b: a > b, "isLessThan": lambda a, b: a < b,
    "includes": lambda values, one: one in values if isinstance(values, list) else values == one,
    "major": lambda one: one[0], "minor": lambda one: one[1], "patch": lambda one: one[2],
}
_FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "size": len, "quantity": lambda text: Quantity(quantity.nano(text)), "semver": version, "string": str, "int": int, "double": float,
    "isQuantity": lambda text: _exists(lambda _: Quantity(quantity.nano(text)), {}), "bool": lambda text: text == "true",
    "isSemver": lambda text: _exists(lambda _: version(text), {}), "matches": lambda text, pattern: re.search(pattern, text) is not None,
}
