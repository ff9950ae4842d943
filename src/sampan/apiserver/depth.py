"""How deep an object may be nested: what is stored can be converted, rendered and compared by code that recurses.

Upstream reads 10,000 levels; no kind of its own has thirty, and only custom resources and schemas can have many.
"""

from __future__ import annotations

from typing import Any

from sampan.api import codec
from sampan.api.errors import BadRequest

MOST = 200
TOO_DEEP = f"the object is nested too deep: no more than {MOST} levels can be kept"


def check(body: bytes) -> None:
    """Look at an object's JSON on its way to the store.

    Raises:
        BadRequest: It has too many levels.
    """
    if _at_most(body) > MOST and _levels(body) > MOST:
        raise BadRequest(TOO_DEEP)


def _at_most(body: bytes) -> int:
    """No fewer than the levels there are, at the cost of a few scans: an empty one (owners of fields are full of them) is the last of its branch."""
    return body.count(b"{") + body.count(b"[") - body.count(b"{}") - body.count(b"[]") + 1


def _levels(body: bytes) -> int:
    level: list[Any] = [codec.loads(body)]
    found = 0
    while level and found <= MOST:
        found += 1
        below: list[Any] = []
        for value in level:
            below.extend(value.values() if isinstance(value, dict) else value)
        level = [value for value in below if isinstance(value, dict | list)]
    return found
