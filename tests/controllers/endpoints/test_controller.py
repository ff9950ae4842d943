"""Endpoints of Services."""

from __future__ import annotations

from pathlib import Path

import pytest

from controllers.harness import World, run
from controllers.late import with_lag
from controllers.play import play
from sampan.aio.tasks import Tasks
from sampan.api.resources import ENDPOINTS, SERVICES
from sampan.controllers.endpoints.controller import EndpointsController
from sampan.testing.datadriven import transcripts


@pytest.mark.parametrize("path", transcripts(Path(__file__).parent / "testdata"), ids=lambda path: path.stem)
def test_transcript(path: Path) -> None:
    play(path, lambda w: [EndpointsController(w.context)])


def test_endpoints_are_not_left_behind_whose_service_is_only_not_known_yet() -> None:
    # given caches that hear nothing of Services
    lagging, lates = with_lag(lambda w: [EndpointsController(w.context)])

    async def scenario(world: World) -> None:
        lates[0].held.add("services")
        await world.make(SERVICES, {"metadata": {"name": "web"}, "spec": {"ports": [{"port": 80}]}})
        await world.make(ENDPOINTS, {"metadata": {"name": "web"}, "subsets": [{"addresses": [{"ip": "192.0.2.1"}], "ports": [{"port": 80}]}]})
        await world.make(ENDPOINTS, {"metadata": {"name": "nobody"}})
        await world.settle()
        # when a controller starts with them
        async with Tasks() as tasks:
            second = EndpointsController(world.context)
            world.controllers.append(second)
            tasks.start(second.run(), "second")
            await world.settle()
            await tasks.stop()
        world.controllers.remove(second)
        # then
        assert await world.get(ENDPOINTS, "web") is not None
        assert await world.get(ENDPOINTS, "nobody") is None
        await lates[0].let_go()

    run(lagging, scenario)
