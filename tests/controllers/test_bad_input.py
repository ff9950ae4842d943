"""What controllers make of input that the API server takes but that can't work: upstream's conditions and events."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from apiserver.webhooks.webhookserver import entry, webhook
from controllers.harness import World, run
from sampan.api import codec
from sampan.api.errors import Forbidden, Invalid
from sampan.api.resources import (
    CONFIG_MAPS,
    CRON_JOBS,
    DEPLOYMENTS,
    EVENTS,
    HORIZONTAL_POD_AUTOSCALERS,
    JOBS,
    PODS,
    REPLICA_SETS,
    RESOURCE_QUOTAS,
    VALIDATING_WEBHOOK_CONFIGURATIONS,
)
from sampan.autoscale.hpa.controller import HorizontalController
from sampan.controllers.cronjob.controller import CronJobController
from sampan.controllers.deployment.controller import DeploymentController
from sampan.controllers.garbagecollector.controller import GarbageCollector
from sampan.controllers.replicaset.controller import ReplicaSetController
from sampan.controllers.resourcequota.controller import ResourceQuotaController
from sampan.testing.waiting import PATIENCE_SECONDS

SPEC = {"containers": [{"name": "c", "image": "app:1"}]}


def template(**labels: str) -> dict[str, Any]:
    return {"metadata": {"labels": labels}, "spec": SPEC}


async def events(w: World) -> set[tuple[str, str, str]]:
    return {(event.type, event.reason, event.message) for event in await w.all(EVENTS)}


async def config_map(w: World, name: str, *owners: Any) -> Any:
    references = [{"apiVersion": "v1", "kind": "ConfigMap", "name": one.metadata.name, "uid": one.metadata.uid, "blockOwnerDeletion": True} for one in owners]
    return await w.make(CONFIG_MAPS, {"metadata": {"name": name, "ownerReferences": references}})


async def own(w: World, name: str, owner: Any) -> None:
    await w.patch(CONFIG_MAPS, name, {"metadata": {"ownerReferences": [
        {"apiVersion": "v1", "kind": "ConfigMap", "name": owner.metadata.name, "uid": owner.metadata.uid, "blockOwnerDeletion": True}]}})


async def names(w: World) -> list[str]:
    return sorted(one.metadata.name for one in await w.all(CONFIG_MAPS) if one.metadata.name in ("a", "b"))


def test_a_selector_that_does_not_match_its_template_never_reaches_a_controller() -> None:
    async def scenario(w: World) -> None:
        with pytest.raises(Invalid, match="`selector` does not match template `labels`"):
            await w.make(DEPLOYMENTS, {"metadata": {"name": "web"}, "spec": {"selector": {"matchLabels": {"app": "x"}}, "template": template(app="y")}})
        with pytest.raises(Invalid, match="empty selector is invalid for deployment"):
            await w.make(DEPLOYMENTS, {"metadata": {"name": "web"}, "spec": {"selector": {}, "template": template(app="y")}})

    run(lambda w: [DeploymentController(w.context)], scenario)


def test_a_deployment_whose_pods_lost_their_labels_makes_new_ones() -> None:
    async def scenario(w: World) -> None:
        await w.make(DEPLOYMENTS, {"metadata": {"name": "web"}, "spec": {"selector": {"matchLabels": {"app": "x"}}, "template": template(app="x")}})
        await w.settle()
        (pod,) = await w.all(PODS)
        await w.patch(PODS, pod.metadata.name, {"metadata": {"labels": None}})
        await w.settle()
        assert len(await w.all(PODS)) == 2  # the old one is nobody's now

    run(lambda w: [DeploymentController(w.context), ReplicaSetController(w.context)], scenario)


def test_a_day_that_never_comes_is_an_invalid_schedule() -> None:
    async def scenario(w: World) -> None:
        await w.make(CRON_JOBS, {"metadata": {"name": "never"}, "spec": {
            "schedule": "0 0 31 2 *", "jobTemplate": {"spec": {"template": {"spec": {**SPEC, "restartPolicy": "Never"}}}}}})
        await w.settle()
        assert await events(w) == {("Warning", "InvalidSchedule",
                                    "invalid schedule: 0 0 31 2 * : time difference between two schedules is less than 1 second")}
        await w.clock.advance(3600)
        await w.settle()
        assert await w.all(JOBS) == []

    run(lambda w: [CronJobController(w.context)], scenario)


@pytest.mark.parametrize("propagation", ["Background", "Foreground"])
def test_owners_in_a_circle_go_together(propagation: str) -> None:
    async def scenario(w: World) -> None:
        a = await config_map(w, "a")
        b = await config_map(w, "b", a)
        await own(w, "a", b)
        await w.settle()
        assert await names(w) == ["a", "b"]
        await w.delete(CONFIG_MAPS, "a", propagation=propagation)
        await w.settle()
        assert await names(w) == []

    run(lambda w: [GarbageCollector(w.context)], scenario)


def test_an_object_that_owns_itself_can_be_deleted() -> None:
    async def scenario(w: World) -> None:
        await own(w, "a", await config_map(w, "a"))
        await w.settle()
        assert await names(w) == ["a"]
        await w.delete(CONFIG_MAPS, "a", propagation="Background")
        await w.settle()
        assert await names(w) == []

    run(lambda w: [GarbageCollector(w.context)], scenario)


def test_a_quota_below_what_is_there_shows_it_and_lets_nothing_more_in() -> None:
    async def scenario(w: World) -> None:
        for name in ("one", "two"):
            await w.make(PODS, {"metadata": {"name": name}, "spec": SPEC})
        await w.make(RESOURCE_QUOTAS, {"metadata": {"name": "q"}, "spec": {"hard": {"pods": "1"}}})
        await w.settle()
        status = (await w.get(RESOURCE_QUOTAS, "q")).status
        assert (status.hard, status.used) == ({"pods": "1"}, {"pods": "2"})
        with pytest.raises(Forbidden, match="exceeded quota: q, requested: pods=1, used: pods=2, limited: pods=1"):
            await w.make(PODS, {"metadata": {"name": "three"}, "spec": SPEC})
        await w.make(REPLICA_SETS, {"metadata": {"name": "web"}, "spec": {"selector": {"matchLabels": {"app": "x"}}, "template": template(app="x")}})
        await w.settle()
        (condition,) = (await w.get(REPLICA_SETS, "web")).status.conditions
        assert (condition.type, condition.status, condition.reason) == ("ReplicaFailure", "True", "FailedCreate")
        assert "exceeded quota: q, requested: pods=1, used: pods=2, limited: pods=1" in condition.message
        assert {(kind, reason) for kind, reason, _ in await events(w)} == {("Warning", "FailedCreate")}

    run(lambda w: [ResourceQuotaController(w.context), ReplicaSetController(w.context)], scenario)


@pytest.mark.slow
def test_a_webhook_that_does_not_answer_in_time_is_the_owners_event() -> None:
    async def scenario(w: World) -> None:
        told = asyncio.Event()
        w.informers.of(EVENTS).on_change(lambda old, new: told.set())
        async with webhook(lambda _: {"allowed": True}) as hook, asyncio.timeout(PATIENCE_SECONDS):
            hook.hold = asyncio.Event()
            rule = {"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]}
            body = {"kind": "ValidatingWebhookConfiguration", "apiVersion": "admissionregistration.k8s.io/v1", "metadata": {"name": "hooks"},
                    "webhooks": [entry(hook.url, rules=[rule], timeoutSeconds=1)]}
            await w.server.client.create(VALIDATING_WEBHOOK_CONFIGURATIONS, codec.convert(VALIDATING_WEBHOOK_CONFIGURATIONS.wire, body))
            await w.make(REPLICA_SETS, {"metadata": {"name": "web"}, "spec": {
                "selector": {"matchLabels": {"app": "x"}}, "template": template(app="x")}})
            await told.wait()
            assert ("Warning", "FailedCreate", 'Error creating: Internal error occurred: failed calling webhook "hook.example.com": failed to call webhook: '
                    f'Post "{hook.url}?timeout=1s": context deadline exceeded') in await events(w)

    run(lambda w: [ReplicaSetController(w.context)], scenario)


def test_an_autoscaler_without_metrics_says_so_in_condition_and_events() -> None:
    async def scenario(w: World) -> None:
        await w.make(DEPLOYMENTS, {"metadata": {"name": "web"}, "spec": {"selector": {"matchLabels": {"app": "x"}}, "template": template(app="x")}})
        await w.make(HORIZONTAL_POD_AUTOSCALERS, {"metadata": {"name": "h"}, "spec": {
            "maxReplicas": 3, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}}})
        await w.settle()
        await w.clock.advance(16)
        await w.settle()
        found = {one.type: (one.status, one.reason) for one in (await w.get(HORIZONTAL_POD_AUTOSCALERS, "h")).status.conditions}
        assert found == {"AbleToScale": ("True", "SucceededGetScale"), "ScalingActive": ("False", "FailedGetResourceMetric")}
        assert {reason for _, reason, _ in await events(w)} == {"FailedGetResourceMetric", "FailedComputeMetricsReplicas"}

    run(lambda w: [HorizontalController(w.context)], scenario)
