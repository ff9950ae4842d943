"""How deep an object may be nested: what is stored can be converted, rendered and compared by code that recurses.

Upstream reads 10,000 levels; no kind of its own has thirty, and only custom resources and schemas can have many.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from sampan.api import codec
from sampan.api.errors import BadRequest
from sampan.api.schema import ANY, Shape
from sampan.lib.memo import remembered

MOST = 200
_ABOVE_OWNED = 4  # object, metadata, list of entries, entry
TOO_DEEP = f"the object is nested too deep: no more than {MOST} levels can be kept"


def check(body: bytes, owned: Sequence[bytes] = (), shape: Shape | None = None) -> None:
    """Look at an object's JSON on its way to the store.

    Args:
        body: All of it.
        owned: The sets of fields in it, which have most of its brackets.
        shape: What a decoder has held it to, where that is known: of most kinds it says how deep they can be.

    Raises:
        BadRequest: It has too many levels.
    """
    bounded = shape is not None and _of_shape(shape) <= MOST
    if bounded or body.count(b"{") + body.count(b"[") <= MOST:
        beside = 0
    else:
        # what stands beside the sets of fields is no deeper than it has brackets
        beside = _at_most(body) - sum(_at_most(one) - 1 for one in owned)
    if beside <= MOST and max(map(_of_set, owned), default=0) + _ABOVE_OWNED <= MOST:
        return
    if _levels(body) > MOST:
        raise BadRequest(TOO_DEEP)


@cache
def _of_shape(shape: Shape) -> int:
    """How many levels an object of that shape can have, sets of fields aside; too many, where it can have any."""
    return _levels_of(shape, frozenset())


def _levels_of(shape: Shape, above: frozenset[str]) -> int:
    if shape.form == "object" and shape.type not in above:
        above |= {shape.type}
        return 1 + max((_levels_of(field.shape, above) for name, field in shape.fields.items() if name != "fieldsV1"), default=0)
    if shape.form in ("list", "map"):
        return 1 + _levels_of(shape.items or ANY, above)
    # any JSON, or a type within itself
    return MOST + 1 if shape.form in ("any", "deduced", "object") else 0


@remembered(maxsize=1024, longest=16 * 1024)
def _of_set(owned: bytes) -> int:
    """No fewer than the levels of a set of fields; the same ones come again and again."""
    return _at_most(owned)


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
