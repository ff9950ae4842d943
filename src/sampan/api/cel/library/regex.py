"""Regular expressions by RE2: linear time, whatever the pattern.

Source: apiserver `pkg/cel/library/regex.go`.
"""

from __future__ import annotations

from typing import Any

from sampan.api.cel.errors import CelError
from sampan.api.cel.library.overload import Functions, member, regex_cost
from sampan.api.cel.types import INT, LIST_STRING, STRING
from sampan.lib.memo import remembered

PATTERN_MOST = 100_000


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
    """Every place, or the first ones."""
    found: list[str] = []
    if most == 0:
        return found
    for match in compiled(pattern).finditer(text):
        found.append(match[0])
        if len(found) == most:
            break
    return found


FUNCTIONS: Functions = {
    "find": [member("string_find_string", (STRING, STRING), STRING, find, cost=regex_cost, estimate="regex")],
    "findAll": [member("string_find_all_string", (STRING, STRING), LIST_STRING, find_all, cost=regex_cost, estimate="find"),
                member("string_find_all_string_int", (STRING, STRING, INT), LIST_STRING, find_all, cost=regex_cost, estimate="find")],
}
