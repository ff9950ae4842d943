"""Quantities: parsing, canonical form and arithmetic. STUB until the real one lands."""

from __future__ import annotations

from sampan.api.scalars import Quantity


def canonical(text: str) -> Quantity:
    return Quantity(text)
