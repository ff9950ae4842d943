"""Bringing scores to 0…100, as upstream's DefaultNormalizeScore does (whole numbers, rounded down)."""

from __future__ import annotations

import numpy as np

from sampan.scheduler.snapshot import Float, Mask

MOST = 100.0


def to_hundred(raw: Float, feasible: Mask) -> Float:
    """The best feasible node gets 100, the others their share; all 0 stays 0."""
    best = raw[feasible].max(initial=0.0)
    return np.floor(raw * MOST / best) if best > 0 else np.zeros_like(raw)


def reversed_to_hundred(raw: Float, feasible: Mask) -> Float:
    """The least gets 100, the most 0; all 0 is 100 for all."""
    best = raw[feasible].max(initial=0.0)
    return MOST - np.floor(raw * MOST / best) if best > 0 else np.full_like(raw, MOST)
