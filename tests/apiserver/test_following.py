"""Following a cache: what is there, what comes, and everything anew when a watch has ended."""

from __future__ import annotations

from apiserver.cacheworld import World, in_world
from sampan.aio.tasks import Tasks
from sampan.api.resources import CONFIG_MAPS
from sampan.apiserver.entries import Entry
from sampan.apiserver.following import follow


@in_world
async def test_what_is_there_and_what_comes_and_goes_is_told(world: World) -> None:
    # given
    told: list[str] = []

    def changed(entry: Entry) -> None:
        told.append(entry.name)

    await world.config_map("before")
    await world.cache()
    async with Tasks() as tasks:
        tasks.start(follow(world.caches, world.clock, CONFIG_MAPS, changed, again_seconds=1.0), "following")
        await world.clock.turns(20)
        assert told == ["before"]
        # when
        await world.config_map("after")
        await world.delete(CONFIG_MAPS, "a", "before")
        await world.clock.turns(20)
        # then
        assert told == ["before", "after", "before"]


@in_world
async def test_after_a_watch_has_ended_everything_is_told_again(world: World) -> None:
    # given
    told: list[str] = []

    def changed(entry: Entry) -> None:
        told.append(entry.name)

    await world.config_map("first")
    await world.cache()
    async with Tasks() as tasks:
        tasks.start(follow(world.caches, world.clock, CONFIG_MAPS, changed, again_seconds=1.0), "following")
        await world.clock.turns(20)
        # when
        await world.caches.read_anew()
        await world.config_map("second")
        await world.clock.turns(20)
        assert told == ["first"]
        await world.clock.advance(1.0)
        await world.clock.turns(20)
        # then
        assert sorted(told) == ["first", "first", "second"]
