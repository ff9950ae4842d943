"""JSON paths as definitions use them: columns, selectable fields, and where replicas stand.

Owns the simple part of kubectl's JSONPath: fields, quoted fields, indices, slices, wildcards, recursive descent and
filters with one comparison. Missing keys lead nowhere, which is no error.
Source: client-go `util/jsonpath`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from sampan.api import goprint
from sampan.lib.memo import remembered

Step = Callable[[Any], Iterator[Any]]
_FIELD = re.compile(r"\.?((?:[^.\[\]\\]|\\.)+)")
_QUOTED = re.compile(r"""\[\s*(?:'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)")\s*\]""")
_SLICE = re.compile(r"\[\s*(-?[0-9]{0,18})\s*(?::\s*(-?[0-9]{0,18})\s*)?(?::\s*(-?[0-9]{0,18})\s*)?\]")
_FILTER = re.compile(r"""\[\?\(\s*@((?:\.(?:[^.\\\[=!<>\s)]|\\.)+|\[[^\]]*\])*)\s*(?:(==|!=|<=|>=|<|>)\s*("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[^)\s]+)\s*)?\)\]""")
_ESCAPED = re.compile(r"\\(.)")


class BadPath(ValueError):
    """A text that is no path that we know."""


@remembered(maxsize=1024)
def compile_path(text: str) -> Callable[[Any], list[Any]]:
    """A path like `.spec.list[0].name` as a function from an object to what it leads to.

    Raises:
        BadPath: It can't be read.
    """
    steps, at = [], 0
    text = text.removeprefix("{").removesuffix("}")
    while at < len(text):
        step, at = _step(text, at)
        steps.append(step)

    def find(obj: Any) -> list[Any]:
        found: Iterable[Any] = (obj,)
        for step in steps:
            found = [inner for value in found for inner in step(value)]
        return list(found)

    return find


def _step(text: str, at: int) -> tuple[Step, int]:
    if text.startswith("..", at):
        return _descend, at + 1
    if text.startswith(("[*]", ".*"), at):
        return _every, at + (3 if text[at] == "[" else 2)
    if text[at] == "[":
        if match := _QUOTED.match(text, at):
            return _named(_ESCAPED.sub(r"\1", match[1] if match[1] is not None else match[2])), match.end()
        if match := _FILTER.match(text, at):
            return _filtered(match[1], match[2], match[3]), match.end()
        if match := _SLICE.match(text, at):
            return _sliced(match), match.end()
        raise BadPath(f"unterminated array: {text[at:]}")
    match = _FIELD.match(text, at)
    if match is None:
        if text[at:] == ".":
            return _itself, at + 1
        raise BadPath(f"unrecognized character in path: {text[at:]}")
    return _named(_ESCAPED.sub(r"\1", match[1])), match.end()


def _itself(value: Any) -> Iterator[Any]:
    yield value


def _named(name: str) -> Step:
    def step(value: Any) -> Iterator[Any]:
        if isinstance(value, dict) and name in value:
            yield value[name]

    return step


def _every(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        yield from value.values()
    elif isinstance(value, list):
        yield from value


def _descend(value: Any) -> Iterator[Any]:
    yield value
    for inner in _every(value):
        yield from _descend(inner)


def _sliced(match: re.Match[str]) -> Step:
    ranged = ":" in match[0]
    start, end, stride = (int(part) if part else None for part in match.groups())

    def step(value: Any) -> Iterator[Any]:
        if not isinstance(value, list):
            return
        if ranged:
            yield from value[start:end:stride or 1]
        elif start is not None and -len(value) <= start < len(value):
            yield value[start]

    return step


def _filtered(path: str, operator: str | None, operand: str | None) -> Step:
    find = compile_path(path)
    compare = _comparison(operator, _literal(operand)) if operator and operand else bool

    def step(value: Any) -> Iterator[Any]:
        for item in value if isinstance(value, list) else ():
            found = find(item)
            if found and (operator is None or compare(found[0])):
                yield item

    return step


def _literal(text: str) -> Any:
    if text[0] in "\"'":
        return _ESCAPED.sub(r"\1", text[1:-1])
    if text in ("true", "false"):
        return text == "true"
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        raise BadPath(f"unrecognized identifier {text}") from None


def _comparison(operator: str, operand: Any) -> Callable[[Any], bool]:
    tests: dict[str, Callable[[Any], bool]] = {
        "==": lambda value: bool(value == operand), "!=": lambda value: bool(value != operand),
        "<": lambda value: bool(value < operand), "<=": lambda value: bool(value <= operand),
        ">": lambda value: bool(value > operand), ">=": lambda value: bool(value >= operand),
    }
    test = tests[operator]
    numbers = (int, float)

    def compare(value: Any) -> bool:
        alike = type(value) is type(operand) or (isinstance(value, numbers) and isinstance(operand, numbers))
        return test(value) if alike else operator == "!="

    return compare


def text_of(value: Any) -> str:
    """A value as it is printed: text plain, the rest as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        return goprint.number(value)
    return goprint.compact(value)
