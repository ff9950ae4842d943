"""Objects in the form that upstream's messages about changes show them: JSON under the names of Go's fields.

Owns the unified difference of two Structs of one type. A message about a forbidden change ends with it; the order of
fields is that of upstream's unversioned types as far as `FIELDS` tells, else the order on the wire.
Source: apimachinery `pkg/util/diff`, kubernetes `pkg/apis/core/types.go`.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable
from functools import cache
from typing import Any

from msgspec import Struct

from sampan.api import codec
from sampan.api.core.v1 import PodSecurityContext, PodSpec
from sampan.kinds.core.internal_names import FIELDS, HOST_FIELDS


def difference(old: Any, new: Any) -> str:
    """A unified difference with three lines around each change, and a line feed at its end."""
    lines = difflib.unified_diff(_lines(old), _lines(new), lineterm="", n=3)
    return "".join(f"{line}\n" for index, line in enumerate(lines) if index >= 2)


def _lines(value: Any) -> list[str]:
    text = json.dumps(internal(value), indent=1, ensure_ascii=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026").split("\n")  # as Go's encoder does


def internal(value: Any) -> Any:
    """A Struct as a dict under Go's names, empty lists and maps as null."""
    if isinstance(value, Struct):
        # metadata's types have but one form
        return _meta(value) if type(value).__module__.startswith("sampan.api.meta.") else _struct(value)
    if isinstance(value, list):
        return [internal(one) for one in value] or None
    if isinstance(value, dict):
        return {key: internal(value[key]) for key in sorted(value)} or None
    return str(value) if isinstance(value, str) else value


def _meta(value: Struct) -> Any:
    shown = codec.to_builtins(value)
    for name, inner in shown.items():
        if isinstance(getattr(value, name, None), dict):
            shown[name] = dict(sorted(inner.items()))
    return shown


def _struct(value: Struct) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    for name, attribute in _fields(type(value)):
        inner = internal(getattr(value, attribute))
        shown |= inner if name == "*" else {name: inner}  # what is embedded stands among the others
    if isinstance(value, PodSpec):
        host = {name: internal(getattr(value, attribute)) for name, attribute in _named(PodSpec, HOST_FIELDS)}
        shown["SecurityContext"] = host | internal(value.securityContext or PodSecurityContext())
    return shown


@cache
def _fields(wire: type[Struct]) -> tuple[tuple[str, str], ...]:
    """Each field's name inside, and that of the attribute."""
    known = FIELDS.get(wire.__name__)
    if known is None:
        return tuple((name[:1].upper() + name[1:], name) for name in wire.__struct_fields__)
    return _named(wire, known.split())


def _named(wire: type[Struct], words: Iterable[str]) -> tuple[tuple[str, str], ...]:
    attributes = {name.lower(): attribute for name, attribute in zip(wire.__struct_encode_fields__, wire.__struct_fields__, strict=True)}
    pairs = (word.partition("=") for word in words)
    return tuple((name, attributes[(other or name).lower()]) for name, _, other in pairs)
