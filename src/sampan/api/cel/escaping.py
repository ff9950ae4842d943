"""Names of properties that are no identifiers, as expressions spell them.

Source: apiserver `pkg/cel/escaping.go`.
"""

from __future__ import annotations

import re

_RESERVED = frozenset(("true", "false", "null", "in", "as", "break", "const", "continue", "else", "for", "function", "if", "import",
                       "let", "loop", "package", "namespace", "return", "var", "void", "while"))
_PARTS = {"__": "__underscores__", ".": "__dot__", "-": "__dash__", "/": "__slash__"}
_FIND = re.compile(r"__|\.|-|/")
_GOOD = re.compile(r"[a-zA-Z_][a-zA-Z0-9_./-]*", re.ASCII)


def escape(name: str) -> str | None:
    """The identifier of a property, None if it can have none."""
    if name in _RESERVED:
        return f"__{name}__"
    return _FIND.sub(lambda match: _PARTS[match[0]], name) if _GOOD.fullmatch(name) else None
