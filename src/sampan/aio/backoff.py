"""Exponential back-off as a value: pure, so that the caller owns the waiting."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Backoff:
    """Delays `first_seconds`, times `factor` after each failure, never over `most_seconds`."""

    first_seconds: float
    most_seconds: float
    factor: float = 2.0

    def delay_seconds(self, failures: int) -> float:
        """How long to wait after that many failures in a row (1 is the first)."""
        if failures <= 0:
            return 0.0
        # past 60 doublings any bound is reached; do not compute huge powers
        return min(self.first_seconds * self.factor ** min(failures - 1, 60), self.most_seconds)
