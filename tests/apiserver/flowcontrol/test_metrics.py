"""/metrics of flow control, on a real server."""

from __future__ import annotations

import asyncio
import re

from apiserver.flowworld import MAPS, World, queues, with_world
from sampan.apiserver.flowcontrol.inflight import FlowSettings

SMALL = FlowSettings(reads=20, writes=0)


async def scrape(world: World) -> dict[str, float]:
    _, text, _ = await world.ask("admin", "GET", "/metrics")
    return {name: float(value) for name, value in re.findall(r"^(apiserver_(?:flowcontrol|current)\S+) (\S+)$", text, re.MULTILINE)}


def test_what_waits_is_worked_on_and_was_turned_away_is_counted() -> None:
    async def test(world: World) -> None:
        await world.level(queues(1, 1, 2))
        tasks = [world.slow("noisy", f"n{number}") for number in range(3)]
        await world.clock.advance(2.0)
        await world.ask("noisy", "GET", MAPS)
        found, mine = await scrape(world), '{flow_schema="mine",priority_level="mine"}'
        names = {name.replace('priority_level="mine",flow_schema="mine"', "SELF").replace('flow_schema="mine",priority_level="mine"', "SELF"): value
                 for name, value in found.items()}
        prefix = "apiserver_flowcontrol_"
        assert mine
        for name, value in {"current_executing_requests{SELF}": 1, "current_executing_seats{SELF}": 1, "current_inqueue_requests{SELF}": 2,
                            "current_inqueue_seats{SELF}": 2, "dispatched_requests_total{SELF}": 1,
                            'rejected_requests_total{SELF,reason="queue-full"}': 1,
                            'current_limit_seats{priority_level="mine"}': 1, 'nominal_limit_seats{priority_level="mine"}': 1,
                            'request_queue_length_after_enqueue_count{SELF}': 3, 'work_estimated_seats_count{SELF}': 4}.items():
            assert names[prefix + name] == value, name
        waited = names[prefix + 'priority_level_request_utilization_sum{phase="waiting",priority_level="mine"}']
        assert 1.9 < waited < 2.1  # both places of the queue for two seconds
        assert names['apiserver_current_inflight_requests{request_kind="mutating"}'] == 1
        world.let_go.set()
        await asyncio.gather(*tasks)
        after = await scrape(world)
        assert after[prefix + 'request_wait_duration_seconds_count{execute="true",flow_schema="mine",priority_level="mine"}'] == 3
        assert after[prefix + 'request_execution_seconds_count{flow_schema="mine",priority_level="mine",type="regular"}'] == 3

    with_world(test, flow=SMALL)


def test_a_scrape_takes_nothing_from_what_is_lent_by() -> None:
    async def test(world: World) -> None:
        await world.level(queues(1, 1, 2))
        tasks = [world.slow("noisy", f"n{number}") for number in range(3)]
        await world.clock.advance(4.0)
        await scrape(world)
        world.let_go.set()
        await asyncio.gather(*tasks)
        await scrape(world)
        await world.clock.advance(6.5)
        assert world.flow.levels.by_name["mine"].demand.high_watermark == 3

    with_world(test, flow=SMALL)
