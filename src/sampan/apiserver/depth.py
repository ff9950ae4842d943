"""How deep an object may be nested: what is stored can be converted, rendered and compared by code that recurses.

Upstream reads 10,000 levels; no kind of its own has thirty, and only custom resources and schemas can have many.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sampan.api import codec
from sampan.api.errors import BadRequest

MOST = 200
_ABOVE_OWNED = 4  # object, metadata, list of entries, entry
TOO_DEEP = f"the object is nested too deep: no more than {MOST} levels can be kept"


def check(body: bytes, owned: Sequence[bytes] = ()) -> None:
    """Look at an object's JSON on its way to the store. `owned`: the sets of fields in it, which have most of an object's brackets.

    Raises:
        BadRequest: It has too many levels.
    """
    if (found := _at_most(body)) <= MOST:
        return
    sets = [_at_most(one) for one in owned]
    # what stands beside the sets of fields is no deeper than it has brackets, and each of them no deeper than its own
    if found - sum(sets) + len(sets) <= MOST and all(one + _ABOVE_OWNED <= MOST for one in sets):
        return
    if _levels(body) > MOST:
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
