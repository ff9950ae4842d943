"""A patched tree to an object as Go's unstructured converter makes it, for strategic merge patches: its words about wrong types.

Source: apimachinery `pkg/runtime/converter.go`.
"""

from __future__ import annotations

from typing import Any

from sampan.api.jsonvalues import INTEGER, as_text, is_number
from sampan.api.schema import Shape
from sampan.api.shapewalk import Undecodable, Walk


class Restore(Walk):
    """One walk; the first value of a wrong type ends it."""

    def object(self, shape: Shape, value: Any, path: str) -> Any:
        if not isinstance(value, dict):
            raise Undecodable(f"cannot restore struct from: {_kind(value)}")
        return super().object(shape, value, path)

    def map(self, shape: Shape, value: Any, path: str) -> Any:
        if not isinstance(value, dict):
            raise Undecodable(f"cannot restore map from {_kind(value)}")
        return super().map(shape, value, path)

    def list(self, shape: Shape, value: Any, path: str) -> Any:
        if not isinstance(value, list):
            raise Undecodable(f"cannot restore slice from {_kind(value)}")
        return super().list(shape, value, path)

    def wrong(self, value: Any, expected: str, shown: str = "") -> Any:
        source = _kind(value)
        if expected == "[]uint8":
            raise Undecodable(f"cannot restore slice from {source}")
        converts = (source == "int64" and expected != "bool") or (source == "float64" and expected.startswith("int"))
        raise Undecodable(f"cannot convert {source} to {expected}" if converts else f"unrecognized type: {expected}")

    def complaint(self, value: str, expected: str) -> str:
        """Types that read themselves are given to them alone."""
        return f"json: cannot unmarshal {value} into Go value of type {expected}"


def _kind(value: Any) -> str:
    """What reflection calls a value of a tree."""
    if isinstance(value, bool):
        return "bool"
    if is_number(value):
        return "int64" if INTEGER.fullmatch(as_text(value)) else "float64"
    if isinstance(value, dict):
        return "map"
    return "slice" if isinstance(value, list) else "string"
