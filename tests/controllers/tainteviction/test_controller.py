"""Pods that leave tainted nodes, through virtual time."""

from __future__ import annotations

from pathlib import Path

import pytest

from controllers.harness import World, run
from controllers.play import play
from sampan.api.resources import NODES, PODS
from sampan.controllers.tainteviction.controller import TaintEvictionController
from sampan.testing.datadriven import transcripts


@pytest.mark.parametrize("path", transcripts(Path(__file__).parent / "testdata"), ids=lambda path: path.stem)
def test_transcript(path: Path) -> None:
    play(path, lambda world: [TaintEvictionController(world.context)])


def test_nothing_is_kept_of_pods_that_are_gone() -> None:
    async def scenario(world: World) -> None:
        # given a pod that goes at once, and one that is to go later
        for name, tolerations in (("now", []), ("later", [{"key": "out", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 60}])):
            await world.make(PODS, {"metadata": {"name": name}, "spec": {"nodeName": "n", "containers": [{"name": "c", "image": "i"}], "tolerations": tolerations}})
        await world.make(NODES, {"metadata": {"name": "n"}, "spec": {"taints": [{"key": "out", "effect": "NoExecute"}]}})
        await world.settle()
        # when they are gone
        for name in ("now", "later"):
            await world.delete(PODS, name, grace_period_seconds=0)
        await world.settle()
        # then
        assert (controllers[0]._due, controllers[0].writer._expected) == ({}, {})

    controllers: list[TaintEvictionController] = []

    def build(world: World) -> list[TaintEvictionController]:
        controllers.append(TaintEvictionController(world.context))
        return controllers

    run(build, scenario)
