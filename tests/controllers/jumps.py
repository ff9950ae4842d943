"""A clock whose time of day is set while loops wait; the steady clock goes on as it does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from controllers.harness import World
from sampan.control.controller import Context

Build = Callable[[World], Sequence[Any]]


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


def with_jumps(build: Build) -> tuple[Build, list[Jumping]]:
    """The same controllers with a clock that jumps, and the list that this will be in."""
    clocks: list[Jumping] = []

    def jumping(world: World) -> Sequence[Any]:
        clocks.append(Jumping(world.clock))
        world.context = Context(world.context.client, world.informers, clocks[0], world.identity)
        return build(world)

    return jumping, clocks
