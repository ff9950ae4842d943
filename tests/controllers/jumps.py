"""A clock whose time of day is set while loops wait; the steady clock goes on as it does."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from controllers.harness import World
from sampan.control.controller import Context


class Jumping:
    """A virtual clock with an offset to its time of day."""

    def __init__(self, clock: Any) -> None:
        self._clock = clock
        self.offset = timedelta()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._clock, name)

    def now(self) -> datetime:
        moment: datetime = self._clock.now() + self.offset
        return moment


def jumping(world: World) -> Jumping:
    """Have the world's controllers look at a clock that jumps; call it before they are made."""
    clock = Jumping(world.clock)
    world.context = Context(world.context.client, world.informers, clock, world.identity)  # type: ignore[arg-type]
    return clock
