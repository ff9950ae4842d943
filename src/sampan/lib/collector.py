"""Python's cyclic garbage collector in processes that keep many objects.

What a control plane keeps are trees that come and go by reference counts; cycles are few and young. A full collection
looks at everything all the same, again and again while a cluster grows: a fifth of the CPU of a large one. So the youngest
are looked at rarely enough that most of what a burst of writes makes is gone by itself before, whatever survives that is
set aside, and only about once an hour everything is looked at, for cycles that died later.

Source: `gc.freeze`, https://docs.python.org/3/library/gc.html; CPython `Modules/gcmodule.c` (thresholds, callbacks).
"""

from __future__ import annotations

import gc

from sampan.lib.clock import Clock

THRESHOLDS = (30_000, 10, 10)
"""See `gc.set_threshold`; to look at so many young objects takes some ten milliseconds."""
WHOLE_SECONDS = 3600.0


class Collector:
    """One a process: `settle` when what it starts with is there; `release` undoes it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._before = gc.get_threshold()
        self._whole = clock.monotonic()

    def settle(self) -> None:
        """Set aside what there is, and from now on what survives."""
        gc.collect()
        gc.freeze()
        gc.set_threshold(*THRESHOLDS)
        gc.callbacks.append(self._collecting)

    def _collecting(self, phase: str, info: dict[str, int]) -> None:
        if phase == "stop":
            gc.freeze()
        elif info["generation"] == 2 and self._clock.monotonic() - self._whole >= WHOLE_SECONDS:
            self._whole = self._clock.monotonic()
            gc.unfreeze()

    def release(self) -> None:
        """As it was before."""
        gc.callbacks.remove(self._collecting)
        gc.set_threshold(*self._before)
        gc.unfreeze()
