"""JSON objects opened as far as somebody looks into them: the rest stays the text that it is.

A patch names a few members of a large object. Only those are decoded; everything else is carried along as `msgspec.Raw`,
which the encoder writes back as it stands. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import msgspec

from sampan.api import codec

Way: TypeAlias = "Mapping[str, Way | None]"
"""Which members are looked at, and how deep: None is all of it."""

_BRACE = ord("{")
_split = msgspec.json.Decoder(dict[str, msgspec.Raw])


def opened(text: bytes | msgspec.Raw, way: Way) -> dict[str, Any]:
    """The JSON object with the members that `way` names decoded, all others raw; made for the caller alone.

    Raises:
        msgspec.DecodeError: It is no JSON object.
    """
    tree: dict[str, Any] = _split.decode(text)
    for key, below in way.items():
        raw = tree.get(key)
        if raw is not None:
            tree[key] = codec.loads(raw) if below is None or not _is_object(raw) else opened(raw, below)
    return tree


def _is_object(raw: msgspec.Raw) -> bool:
    return memoryview(raw)[0] == _BRACE


def joined(one: Way, other: Way) -> Way:
    """Where either of the two leads."""
    out = dict(one)
    for key, below in other.items():
        mine = out.get(key, {})
        out[key] = None if mine is None or below is None else joined(mine, below)
    return out
