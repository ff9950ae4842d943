"""The list of autoscalers, as a process joins it with others."""

from __future__ import annotations

from dataclasses import replace

from controllers.harness import World, run
from sampan.api.resources import DEPLOYMENTS, HORIZONTAL_POD_AUTOSCALERS
from sampan.autoscale.all import ALL
from sampan.cluster.controllers import ALL as EVERY
from sampan.controllers.manager import select
from sampan.controllers.settings import ManagerSettings


def test_it_is_on_by_default_and_known_by_its_old_name() -> None:
    assert [entry.name for entry in ALL] == ["horizontal-pod-autoscaler-controller"]
    assert ALL[0] in select(EVERY, ("*",))
    assert select(EVERY, ("horizontalpodautoscaling",)) == [ALL[0]]


def test_the_flags_reach_it() -> None:
    settings = replace(ManagerSettings(), horizontal_pod_autoscaler_sync_period=2.0)

    async def scenario(w: World) -> None:
        template = {"metadata": {"labels": {"app": "x"}}, "spec": {"containers": [{"name": "c", "image": "app:1"}]}}
        await w.make(DEPLOYMENTS, {"metadata": {"name": "web"}, "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "x"}}, "template": template}})
        await w.make(HORIZONTAL_POD_AUTOSCALERS, {"metadata": {"name": "h"}, "spec": {
            "minReplicas": 2, "maxReplicas": 3, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}}})
        await w.settle()
        assert (await w.get(DEPLOYMENTS, "web")).spec.replicas == 1
        await w.clock.advance(3)
        await w.settle()
        assert (await w.get(DEPLOYMENTS, "web")).spec.replicas == 2

    run(lambda w: [ALL[0].make(w.context, settings)], scenario)
