"""Memory that is free inside the process, given back to the system.

The C library keeps what has been freed between what is still in use: thousands of connections that come and go leave it in
pieces that the next thousands do not fit into. glibc gives such pages back only when it is asked.
Source: malloc_trim(3).
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache


@cache
def _trim() -> Callable[[int], int] | None:
    try:
        found: Callable[[int], int] = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError):  # not glibc
        return None
    return found


def give_back() -> bool:
    """Give free pages back; whether this C library can. Takes some milliseconds a gigabyte."""
    trim = _trim()
    if trim is not None:
        trim(0)
    return trim is not None


class Ebb:
    """Tells when a count has fallen by so much that giving back is worth while."""

    def __init__(self, step: int) -> None:
        self._step, self._high = step, 0

    def fell(self, count: int) -> bool:
        """Look at the count; true once for every fall of at least a step."""
        if self._high - count >= self._step:
            self._high = count
            return True
        self._high = max(self._high, count)
        return False
