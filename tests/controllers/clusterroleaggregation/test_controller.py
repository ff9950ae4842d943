"""Aggregated cluster roles."""

from __future__ import annotations

from pathlib import Path

import pytest

from controllers.harness import World, run
from controllers.play import play
from sampan.api import codec
from sampan.api.resources import CLUSTER_ROLES
from sampan.controllers.clusterroleaggregation.controller import ClusterRoleAggregationController
from sampan.testing.datadriven import transcripts


@pytest.mark.parametrize("path", transcripts(Path(__file__).parent / "testdata"), ids=lambda path: path.stem)
def test_transcript(path: Path) -> None:
    play(path, lambda w: [ClusterRoleAggregationController(w.context)])


def test_an_aggregated_role_follows_those_it_selects() -> None:
    async def scenario(world: World) -> None:
        rule = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}
        await world.make(CLUSTER_ROLES, {"metadata": {"name": "all"}, "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"to": "all"}}]}, "rules": []})
        await world.make(CLUSTER_ROLES, {"metadata": {"name": "part", "labels": {"to": "all"}}, "rules": [rule]})
        await world.settle()
        assert codec.to_builtins((await world.get(CLUSTER_ROLES, "all")).rules)[0]["resources"] == ["pods"]
        await world.delete(CLUSTER_ROLES, "part")
        await world.settle()
        assert not (await world.get(CLUSTER_ROLES, "all")).rules

    run(lambda world: [ClusterRoleAggregationController(world.context)], scenario)
