"""Regular expressions by RE2: linear time, whatever the pattern.

Source: apiserver `pkg/cel/library/regex.go`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sampan.api.cel.errors import CelError, CostExceeded
from sampan.api.cel.library.overload import Functions, member, regex_cost
from sampan.api.cel.types import INT, LIST_STRING, STRING
from sampan.lib.memo import remembered

PATTERN_MOST = 100_000
MATCH_COST = 10
MOST_FOUND = 100_000
"""More matches than the limit of one expression pays for."""


@remembered(maxsize=256)
def compiled(pattern: str) -> Any:
    """The pattern, compiled once.

    Raises:
        CelError: It is none.
    """
    import re2
    options = re2.Options()
    options.log_errors = False
    options.max_mem = 8 << 20
    try:
        if len(pattern) > PATTERN_MOST:
            raise ValueError("expression too large")
        return re2.compile(pattern, options=options)
    except (re2.error, ValueError) as error:
        text = error.args[0].decode(errors="replace") if error.args and isinstance(error.args[0], bytes) else str(error)
        raise CelError(f"error parsing regexp: {text}") from None


def matches(text: str, pattern: str) -> bool:
    """Whether the pattern is found anywhere."""
    return compiled(pattern).search(text) is not None


def find(text: str, pattern: str) -> str:
    """The first place, empty if there is none."""
    found = compiled(pattern).search(text)
    return found[0] if found else ""


def find_all(text: str, pattern: str, most: int = -1) -> list[str]:
    """Every place, or the first ones. As in Go, none is empty right behind the one before."""
    found: list[str] = []
    if most == 0:
        return found
    end = -1
    data = text.encode("utf-8", "surrogatepass")  # the wrapper works three times as long on text
    for match in compiled(pattern).finditer(data):
        start, before = match.start(), end
        end = match.end()
        if start == end and (start == before or data[start:start + 1] in _INSIDE):
            continue
        found.append(data[start:end].decode("utf-8", "surrogatepass"))
        if len(found) == most:
            break
        if len(found) > MOST_FOUND:
            raise CostExceeded
    return found


_INSIDE = frozenset(bytes((one,)) for one in range(0x80, 0xC0))
"""Bytes with which no character begins."""


def find_all_cost(args: Sequence[Any], result: Any) -> int:
    """Reading, as upstream, and what each match takes of the time here: a million of them would hold everybody up otherwise."""
    return regex_cost(args, result) + (len(result) * MATCH_COST if result else 0)


FUNCTIONS: Functions = {
    "find": [member("string_find_string", (STRING, STRING), STRING, find, cost=regex_cost, estimate="regex")],
    "findAll": [member("string_find_all_string", (STRING, STRING), LIST_STRING, find_all, cost=find_all_cost, estimate="find"),
                member("string_find_all_string_int", (STRING, STRING, INT), LIST_STRING, find_all, cost=find_all_cost, estimate="find")],
}
