"""Objects in the form that upstream's messages about changes show them: JSON under the names of Go's fields.

Owns the unified difference of two Structs of one type. A message about a forbidden change ends with it; the order of
fields is that of upstream's unversioned types as far as `ORDER` tells, else the order on the wire.
Source: apimachinery `pkg/util/diff`, kubernetes `pkg/apis/core/types.go`.
"""

from __future__ import annotations

import difflib
import json
from typing import Any

from msgspec import Struct

from sampan.kinds.core.internal_names import FIELDS


def difference(old: Any, new: Any) -> str:
    """A unified difference with three lines around each change, and a line feed at its end."""
    lines = difflib.unified_diff(_lines(old), _lines(new), lineterm="", n=3)
    return "".join(f"{line}\n" for index, line in enumerate(lines) if index >= 2)


def _lines(value: Any) -> list[str]:
    return json.dumps(internal(value), indent=1, ensure_ascii=False).split("\n")


def internal(value: Any) -> Any:
    """A Struct as a dict under Go's names, empty lists and maps as null."""
    if isinstance(value, Struct):
        return _struct(value)
    if isinstance(value, list):
        return [internal(one) for one in value] or None
    if isinstance(value, dict):
        return {key: internal(value[key]) for key in sorted(value)} or None
    return str(value) if isinstance(value, str) else value


def _struct(value: Struct) -> dict[str, Any]:
    known = FIELDS.get(type(value).__name__)
    if known is None:
        return {_title(name): internal(getattr(value, name)) for name in value.__struct_fields__}
    return {shown: internal(getattr(value, name)) for shown, name in known}


def _title(name: str) -> str:
    return name[:1].upper() + name[1:]
