"""Autoscalers on a server; the metrics APIs are custom resources of those groups, served by the same server."""

from __future__ import annotations

from typing import Any

from controllers.harness import World, run
from sampan.api.resourceinfo import Resource
from sampan.api.resources import CUSTOM_RESOURCE_DEFINITIONS, DEPLOYMENTS, EVENTS, HORIZONTAL_POD_AUTOSCALERS, PODS
from sampan.autoscale.hpa.controller import HorizontalController

METRICS: Resource[Any] = Resource(group="metrics.k8s.io", version="v1beta1", plural="pods", kind="PodMetrics", singular="pod", namespaced=True)
WIDGETS: Resource[Any] = Resource(group="example.com", version="v1", plural="widgets", kind="Widget", singular="widget", namespaced=True)
ANY = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


def build(w: World) -> list[Any]:
    return [HorizontalController(w.context)]


async def define(w: World, resource: Resource[Any], **version: Any) -> None:
    await w.make(CUSTOM_RESOURCE_DEFINITIONS, {
        "metadata": {"name": f"{resource.plural}.{resource.group}", "annotations": {"api-approved.kubernetes.io": "unapproved, a test"}},
        "spec": {"group": resource.group, "scope": "Namespaced", "names": {"plural": resource.plural, "kind": resource.kind, "singular": resource.singular},
                 "versions": [{"name": resource.version, "served": True, "storage": True, "schema": {"openAPIV3Schema": ANY}, **version}]}})
    await w.settle()


async def deployment(w: World, name: str = "web", replicas: int = 2, labels: dict[str, str] | None = None) -> None:
    labels = labels or {"app": name}
    await w.make(DEPLOYMENTS, {"metadata": {"name": name}, "spec": {
        "replicas": replicas, "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "app:1"}]}}}})


async def pod(w: World, name: str, use: str = "") -> None:
    await w.make(PODS, {"metadata": {"name": name, "labels": {"app": "web"}}, "spec": {
        "nodeName": "n", "containers": [{"name": "c", "image": "app:1", "resources": {"requests": {"cpu": "100m"}}}]}})
    await w.patch(PODS, name, {"status": {"phase": "Running", "startTime": "2020-01-01T00:00:00Z", "conditions": [
        {"type": "Ready", "status": "True", "lastTransitionTime": "2020-01-01T00:00:10Z"}]}}, subresource="status")
    if use:
        await w.server.client.create(METRICS, {
            "apiVersion": "metrics.k8s.io/v1beta1", "kind": "PodMetrics", "metadata": {"name": name, "namespace": "default", "labels": {"app": "web"}},
            "timestamp": "2026-01-01T00:00:00Z", "window": "30s", "containers": [{"name": "c", "usage": {"cpu": use, "memory": "1Mi"}}]})


async def autoscaler(w: World, name: str = "h", target: dict[str, str] | None = None, **spec: Any) -> None:
    await w.make(HORIZONTAL_POD_AUTOSCALERS, {"metadata": {"name": name}, "spec": {
        "maxReplicas": 10, "scaleTargetRef": target or {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
        "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}}], **spec}})


async def later(w: World, seconds: float = 16.0) -> None:
    await w.settle()
    await w.clock.advance(seconds)
    await w.settle()


def conditions(hpa: Any) -> dict[str, tuple[str, str]]:
    return {one.type: (one.status, one.reason) for one in hpa.status.conditions}


def test_pods_that_use_more_than_wanted_get_company() -> None:
    async def scenario(w: World) -> None:
        await define(w, METRICS)
        await deployment(w)
        await pod(w, "a", "90m")
        await pod(w, "b", "110m")
        await autoscaler(w)
        await later(w)
        hpa = await w.get(HORIZONTAL_POD_AUTOSCALERS, "h")
        assert (await w.get(DEPLOYMENTS, "web")).spec.replicas == 4
        assert (hpa.status.currentReplicas, hpa.status.desiredReplicas) == (2, 4)
        assert hpa.status.currentMetrics[0].resource.current.averageUtilization == 100
        assert conditions(hpa)["AbleToScale"] == ("True", "SucceededRescale")
        events = [(e.reason, e.message, e.source.component) for e in await w.all(EVENTS)]
        assert events == [("SuccessfulRescale", "New size: 4; reason: cpu resource utilization (percentage of request) above target",
                           "horizontal-pod-autoscaler")]

    run(build, scenario)


def test_a_custom_resource_with_a_scale_is_scaled() -> None:
    async def scenario(w: World) -> None:
        scale = {"specReplicasPath": ".spec.size", "statusReplicasPath": ".status.size", "labelSelectorPath": ".status.selector"}
        await define(w, WIDGETS, subresources={"status": {}, "scale": scale})
        await w.server.client.create(WIDGETS, {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "w", "namespace": "default"},
                                               "spec": {"size": 1}})
        await autoscaler(w, target={"apiVersion": "example.com/v1", "kind": "Widget", "name": "w"}, minReplicas=3)
        await later(w)
        assert (await w.get(WIDGETS, "w"))["spec"]["size"] == 3

    run(build, scenario)


def test_two_autoscalers_of_the_same_pods_stand_still() -> None:
    async def scenario(w: World) -> None:
        await define(w, METRICS)
        await deployment(w)
        await pod(w, "a", "90m")
        await autoscaler(w)
        await autoscaler(w, "other")
        await later(w)
        await later(w)
        assert conditions(await w.get(HORIZONTAL_POD_AUTOSCALERS, "h"))["ScalingActive"] == ("False", "AmbiguousSelector")
        await w.delete(HORIZONTAL_POD_AUTOSCALERS, "other")
        await later(w)
        assert conditions(await w.get(HORIZONTAL_POD_AUTOSCALERS, "h"))["ScalingActive"] == ("True", "ValidMetricFound")

    run(build, scenario)


def test_without_metrics_nothing_is_scaled_and_both_events_say_why() -> None:
    async def scenario(w: World) -> None:
        await deployment(w)
        await pod(w, "a")
        await autoscaler(w)
        await later(w)
        why = "unable to get metrics for resource cpu: unable to fetch metrics from resource metrics API: " \
              "the server could not find the requested resource (get pods.metrics.k8s.io)"
        hpa = await w.get(HORIZONTAL_POD_AUTOSCALERS, "h")
        assert conditions(hpa)["ScalingActive"] == ("False", "FailedGetResourceMetric")
        assert {e.reason: e.message for e in await w.all(EVENTS)} == {
            "FailedGetResourceMetric": f"failed to get cpu utilization: {why}",
            "FailedComputeMetricsReplicas": "invalid metrics (1 invalid out of 1), first error is: "
                                            f"failed to get cpu resource metric value: failed to get cpu utilization: {why}"}
        assert (await w.get(DEPLOYMENTS, "web")).spec.replicas == 2

    run(build, scenario)


def test_custom_and_external_metrics_without_their_apis_say_so() -> None:
    async def scenario(w: World) -> None:
        await deployment(w)
        await autoscaler(w, metrics=[
            {"type": "Pods", "pods": {"metric": {"name": "qps"}, "target": {"type": "AverageValue", "averageValue": "10"}}},
            {"type": "Object", "object": {"metric": {"name": "hits"}, "describedObject": {"apiVersion": "nowhere.io/v1", "kind": "Thing", "name": "t"},
                                          "target": {"type": "Value", "value": "10"}}},
            {"type": "External", "external": {"metric": {"name": "jobs", "selector": {"matchLabels": {"q": "a"}}},
                                              "target": {"type": "AverageValue", "averageValue": "10"}}}])
        await later(w)
        found = {e.reason: e.message for e in await w.all(EVENTS)}
        assert found["FailedGetPodsMetric"] == ("unable to get metric qps: unable to fetch metrics from custom metrics API: "
                                                "no custom metrics API (custom.metrics.k8s.io) registered")
        # before what the object is
        assert found["FailedGetObjectMetric"] == ("unable to get metric hits: Thing on default t/unable to fetch metrics from custom metrics API: "
                                                  "no custom metrics API (custom.metrics.k8s.io) registered")
        assert found["FailedGetExternalMetric"].startswith(
            "unable to get external metric default/jobs/&LabelSelector{MatchLabels:map[string]string{q: a,},"
            "MatchExpressions:[]LabelSelectorRequirement{},}: unable to fetch metrics from external metrics API: ")

    run(build, scenario)


def test_a_target_of_an_unknown_kind_is_named() -> None:
    async def scenario(w: World) -> None:
        await autoscaler(w, target={"apiVersion": "nowhere.io/v1", "kind": "Thing", "name": "x"})
        await later(w)
        assert [e.message for e in await w.all(EVENTS)] == ['no matches for kind "Thing" in group "nowhere.io"']
        await w.delete(HORIZONTAL_POD_AUTOSCALERS, "h")  # deleted in between: nothing is left behind
        await later(w)

    run(build, scenario)


def test_a_status_that_somebody_else_wrote_first_is_tried_again() -> None:
    async def scenario(w: World) -> None:
        await deployment(w, replicas=1)
        await autoscaler(w, minReplicas=3)
        await w.settle()
        failed: list[str] = []

        def fail(verb: str, resource: Any, obj: Any) -> Any:
            from sampan.api.errors import Conflict

            if verb == "update" and resource is HORIZONTAL_POD_AUTOSCALERS and not failed:
                failed.append("once")
                return Conflict("it changed")
            return None

        w.client.fail = fail
        await later(w)
        assert failed == ["once"]
        assert (await w.get(DEPLOYMENTS, "web")).spec.replicas == 3
        assert "FailedUpdateStatus" in {e.reason for e in await w.all(EVENTS)}
        await later(w)
        # then
        assert conditions(await w.get(HORIZONTAL_POD_AUTOSCALERS, "h"))["AbleToScale"][0] == "True"

    run(build, scenario)


def test_a_scale_that_somebody_else_wrote_first_is_read_and_written_again() -> None:
    async def scenario(w: World) -> None:
        await deployment(w, replicas=1)
        await autoscaler(w, minReplicas=3)
        await w.settle()
        raw, refused = w.client.raw, list[str]()

        async def first(method: str, path: str, **more: Any) -> Any:
            if method == "PUT" and path.endswith("/scale") and not refused:
                refused.append(path)
                await w.patch(DEPLOYMENTS, "web", {"metadata": {"labels": {"seen": "yes"}}})
            return await raw(method, path, **more)

        w.client.raw = first
        await later(w)
        await later(w, 0.01)
        assert refused
        assert (await w.get(DEPLOYMENTS, "web")).spec.replicas == 3
        # then nobody was told of a failure
        assert {e.reason for e in await w.all(EVENTS)} == {"SuccessfulRescale"}

    run(build, scenario)
