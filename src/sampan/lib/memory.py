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
    """Tells when a count has fallen by so much that giving back is worth while, once it has stopped falling.

    What goes takes some time to be gone: memory that is given back while it falls is little.
    """

    def __init__(self, step: int) -> None:
        self._step, self._high, self._last = step, 0, 0

    def fell(self, count: int) -> bool:
        """Look at the count; true once for every fall of at least a step, at the first look that finds it no lower than the one before."""
        falling, self._last = count < self._last, count
        if falling or self._high - count < self._step:
            self._high = max(self._high, count)
            return False
        self._high = count
        return True
