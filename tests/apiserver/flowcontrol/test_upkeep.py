"""Upstream's own objects stay, conditions are true."""

from __future__ import annotations

from typing import Any

import pytest

from apiserver.flowworld import GROUP, World, with_world
from sampan.api import codec
from sampan.apiserver.flowcontrol.upkeep import AUTO_UPDATE, CONSUMER, PRODUCER, as_wanted, objects

MERGE = "application/merge-patch+json"


def test_a_fresh_server_has_all_of_them_with_their_conditions_and_owners() -> None:
    async def test(world: World) -> None:
        schemas = (await world.must("GET", f"{GROUP}/flowschemas"))["items"]
        levels = (await world.must("GET", f"{GROUP}/prioritylevelconfigurations"))["items"]
        assert (len(schemas), len(levels)) == (11, 8)
        for schema in schemas:
            condition, = schema["status"]["conditions"]
            assert (condition["type"], condition["status"], condition["reason"]) == ("Dangling", "False", "Found")
            managers = [(entry["manager"], entry["operation"], entry.get("subresource")) for entry in schema["metadata"]["managedFields"]]
            assert sorted(managers) == [(CONSUMER, "Apply", "status"), (PRODUCER, "Update", None)]
            assert schema["metadata"]["generation"] == 1
        # and a look at them changes nothing
        revision = (await world.must("GET", f"{GROUP}/flowschemas"))["metadata"]["resourceVersion"]
        await world.clock.advance(125)
        assert (await world.must("GET", f"{GROUP}/flowschemas"))["metadata"]["resourceVersion"] == revision

    with_world(test)


def test_conditions_follow_the_level() -> None:
    async def test(world: World) -> None:
        path = f"{GROUP}/flowschemas/lost"
        await world.must("POST", f"{GROUP}/flowschemas", {"metadata": {"name": "lost"}, "spec": {
            "priorityLevelConfiguration": {"name": "later"}, "matchingPrecedence": 1000, "rules": []}})
        await world.clock.turns(30)
        condition, = (await world.must("GET", path))["status"]["conditions"]
        assert (condition["status"], condition["reason"], condition["message"]) == (
            "True", "NotFound",
            'This FlowSchema references the PriorityLevelConfiguration object named "later" but there is no such object')
        await world.must("POST", f"{GROUP}/prioritylevelconfigurations", {"metadata": {"name": "later"}, "spec": {
            "type": "Limited", "limited": {"limitResponse": {"type": "Reject"}}}})
        await world.clock.turns(30)
        condition, = (await world.must("GET", path))["status"]["conditions"]
        assert (condition["status"], condition["message"][-13:]) == ("False", "and it exists")

    with_world(test)


def test_servers_that_disagree_write_six_conditions_a_minute() -> None:
    async def test(world: World) -> None:
        path = f"{GROUP}/flowschemas/probes/status"
        wrong = {"status": {"conditions": [{"type": "Dangling", "status": "Unknown", "reason": "Other", "message": "another server's"}]}}
        written = 0
        for _ in range(12):
            await world.must("PATCH", path, wrong, kind=MERGE)
            await world.clock.turns(30)
            written += (await world.must("GET", path))["status"]["conditions"][0]["status"] == "False"
        assert written <= 6
        # and later goes on
        await world.clock.advance(121)
        assert (await world.must("GET", path))["status"]["conditions"][0]["status"] == "False"

    with_world(test)


def test_what_was_deleted_is_there_again_within_a_minute() -> None:
    async def test(world: World) -> None:
        for path in ("flowschemas/exempt", "prioritylevelconfigurations/catch-all", "prioritylevelconfigurations/workload-low"):
            await world.must("DELETE", f"{GROUP}/{path}")
        # meanwhile the mandatory ones are in force all the same
        assert (await world.ask("admin", "GET", "/api"))[0] == 200
        await world.clock.advance(61)
        for path in ("flowschemas/exempt", "prioritylevelconfigurations/catch-all", "prioritylevelconfigurations/workload-low"):
            await world.must("GET", f"{GROUP}/{path}")

    with_world(test)


def test_suggested_objects_are_changed_back_unless_they_say_otherwise() -> None:
    async def test(world: World) -> None:
        path = f"{GROUP}/prioritylevelconfigurations/workload-low"
        change = {"spec": {"limited": {"nominalConcurrencyShares": 7}}}
        await world.must("PATCH", path, change, kind=MERGE)
        await world.clock.advance(61)
        assert (await world.must("GET", path))["spec"]["limited"]["nominalConcurrencyShares"] == 100
        await world.must("PATCH", path, change | {"metadata": {"annotations": {AUTO_UPDATE: "false"}}}, kind=MERGE)
        await world.clock.advance(61)
        assert (await world.must("GET", path))["spec"]["limited"]["nominalConcurrencyShares"] == 7

    with_world(test)


WANTED = {one.metadata.name: one for one in objects() if one.kind == "FlowSchema"}


@pytest.mark.parametrize(("name", "annotation", "generation", "expected"), [
    ("exempt", "true", 1, None),
    ("exempt", "false", 5, ("true", False)),
    ("probes", "true", 1, None),
    ("probes", "false", 5, None),
    ("probes", None, 1, ("true", False)),
    ("probes", None, 2, ("false", False)),
    ("probes", "nonsense", 1, ("true", False)),
])
def test_the_annotation_says_whose_an_object_is(name: str, annotation: str | None, generation: int, expected: Any) -> None:
    current = codec.clone(WANTED[name])
    current.metadata.generation = generation
    current.metadata.annotations = {} if annotation is None else {AUTO_UPDATE: annotation}
    new = as_wanted(current, WANTED[name])
    assert (None if new is None else (new.metadata.annotations[AUTO_UPDATE], new.spec != WANTED[name].spec)) == expected


def test_somebodys_own_spec_is_left_alone_and_upstreams_is_restored() -> None:
    for annotation, restored in (("true", True), ("false", False)):
        current = codec.clone(WANTED["probes"])
        current.metadata.annotations = {AUTO_UPDATE: annotation}
        current.spec.matchingPrecedence = 77
        new = as_wanted(current, WANTED["probes"])
        assert (new is not None and new.spec == WANTED["probes"].spec) is restored
