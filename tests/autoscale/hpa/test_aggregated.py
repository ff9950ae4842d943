"""Autoscalers whose metrics come from an API server behind this one: real sockets, TLS and certificates on loopback.

The adapter answers as those do that people run (custom-metrics-apiserver): lists of values, and Status for what it has not.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from api_asking import Asker
from apiserver.aggregation.extensions import announce, condition, files, front, serving
from sampan.aio.tasks import Tasks
from sampan.apiserver.request import User
from sampan.autoscale.hpa.controller import HorizontalController
from sampan.control.controller import Context
from sampan.control.informer import Informers
from sampan.testing.waiting import PATIENCE_SECONDS, until

ACCOUNT = "system:serviceaccount:kube-system:horizontal-pod-autoscaler"
CUSTOM, EXTERNAL = "/apis/custom.metrics.k8s.io/v1beta2", "/apis/external.metrics.k8s.io/v1beta1"
HPAS = "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
NOT_FOUND = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404,
             "message": "the server could not find the metric for that"}


def value(amount: Any, **about: str) -> dict[str, Any]:
    return {"describedObject": {"apiVersion": "/v1", "namespace": "default", **about}, "metric": {"name": "m", "selector": None},
            "timestamp": "2026-01-01T00:00:00Z", "value": amount, "selector": None}


def of_pods(**amounts: Any) -> dict[str, Any]:
    return {"kind": "MetricValueList", "metadata": {}, "items": [value(amount, kind="Pod", name=name) for name, amount in amounts.items()]}


def of_object(amount: Any) -> dict[str, Any]:
    return {"kind": "MetricValueList", "metadata": {}, "items": [value(amount, kind="Ingress", name="main")]}


def of_outside(*amounts: Any) -> dict[str, Any]:
    return {"kind": "ExternalMetricValueList", "metadata": {}, "items": [
        {"metricName": "m", "metricLabels": {}, "timestamp": "2026-01-01T00:00:00Z", "value": amount} for amount in amounts]}


@dataclass
class Adapter:
    """What it says by path and query, and who asked for that."""

    pages: dict[str, Any] = field(default_factory=dict)
    code: int = 200
    askers: dict[str, str] = field(default_factory=dict)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        path = request.path
        if path in ("/apis/custom.metrics.k8s.io/v1beta1", CUSTOM, EXTERNAL):
            return web.json_response({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": path.removeprefix("/apis/"), "resources": []})
        if not path.startswith(("/apis/custom.metrics.k8s.io/", "/apis/external.metrics.k8s.io/")):
            return web.Response(status=404, text="404 page not found\n")
        if self.code != 200:
            return web.Response(status=self.code, text="out of order")
        self.askers[request.raw_path] = request.headers.get("X-Remote-User", "")
        found = self.pages.get(request.raw_path)
        if isinstance(found, bytes):
            return web.Response(body=found, content_type="application/json")
        return web.json_response(NOT_FOUND if found is None else found, status=404 if found is None else 200)


class Cluster:
    """A server with autoscalers at work, its Deployment `web` of two pods, and what it has behind it."""

    def __init__(self, asker: Asker, adapter: Adapter) -> None:
        self.asker, self.adapter = asker, adapter

    async def furnish(self, *pods: str) -> None:
        template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
        await self.asker.must("POST", DEPLOYMENTS, {"metadata": {"name": "web"}, "spec": {
            "replicas": len(pods), "selector": {"matchLabels": {"app": "web"}}, "template": template}})
        for name in pods:
            await self.asker.must("POST", "/api/v1/namespaces/default/pods", {"metadata": {"name": name, "labels": {"app": "web"}}, "spec": template["spec"]})
            code, _ = await self.asker.merge(f"/api/v1/namespaces/default/pods/{name}/status", {"status": {
                "phase": "Running", "startTime": "2020-01-01T00:00:00Z",
                "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "2020-01-01T00:00:10Z"}]}})
            assert code == 200
        code, _ = await self.asker.merge(f"{DEPLOYMENTS}/web/status", {"status": {"replicas": len(pods)}})
        assert code == 200

    async def autoscaler(self, *metrics: dict[str, Any], **spec: Any) -> None:
        await self.asker.must("POST", HPAS, {"metadata": {"name": "h"}, "spec": {
            "maxReplicas": 10, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}, "metrics": list(metrics), **spec}})

    async def size(self, number: int) -> None:
        """Wait until the Deployment is of this size."""
        async def reached() -> bool:
            return bool((await self.asker.must("GET", f"{DEPLOYMENTS}/web"))["spec"]["replicas"] == number)

        await until(reached, f"{number} replicas")

    async def active(self, status: str, reason: str) -> str:
        """Wait until ScalingActive is so; its message."""
        async def found() -> dict[str, Any] | None:
            conditions = (await self.asker.must("GET", f"{HPAS}/h")).get("status", {}).get("conditions", [])
            return next((one for one in conditions if (one["type"], one["status"], one["reason"]) == ("ScalingActive", status, reason)), None)

        condition = await until(found, f"ScalingActive {status} {reason}")
        assert condition is not None
        return str(condition["message"])

    async def shown(self) -> list[Any]:
        metrics: list[Any] = (await self.asker.must("GET", f"{HPAS}/h"))["status"]["currentMetrics"]
        return metrics


def with_metrics(check: Callable[[Cluster], Awaitable[None]], *versions: str) -> None:
    """Run a check with these versions announced, an adapter behind them, and autoscalers that look often."""
    versions = versions or ("v1beta2.custom.metrics.k8s.io", "v1beta1.external.metrics.k8s.io")

    async def run() -> None:
        adapter = Adapter()
        async with asyncio.timeout(PATIENCE_SECONDS), files() as there, serving(there, adapter.answer) as port, front(there) as asker:
            await announce(asker, port, *versions)
            for version in versions:
                await condition(asker, version, "True")
            server = asker.server
            client = server.client_as(User(ACCOUNT, "", ("system:serviceaccounts", "system:authenticated")))
            informers = Informers(client, clock=server.clock, identity=server.identity)
            controller = HorizontalController(Context(client, informers, server.clock, server.identity), sync_seconds=0.02)
            async with Tasks() as tasks:
                tasks.start(informers.run(), "informers")
                tasks.start(controller.run(), "autoscalers")
                await check(Cluster(asker, adapter))

    asyncio.run(run())


PODS = {"type": "Pods", "pods": {"metric": {"name": "qps"}, "target": {"type": "AverageValue", "averageValue": "10"}}}
QUEUE = {"type": "External", "external": {"metric": {"name": "depth", "selector": {"matchLabels": {"queue": "mail"}}},
                                          "target": {"type": "AverageValue", "averageValue": "30"}}}
QPS_PATH = f"{CUSTOM}/namespaces/default/pods/*/qps?labelSelector=app%3Dweb"
QUEUE_PATH = f"{EXTERNAL}/namespaces/default/depth?labelSelector=queue%3Dmail"


def about(api_version: str, kind: str, name: str, **target: str) -> dict[str, Any]:
    return {"type": "Object", "object": {"metric": {"name": "requests"}, "target": target,
                                         "describedObject": {"apiVersion": api_version, "kind": kind, "name": name}}}


def test_a_metric_of_the_pods_comes_from_the_server_behind() -> None:
    async def check(cluster: Cluster) -> None:
        # given two pods that do twice as much as each should
        cluster.adapter.pages[QPS_PATH] = of_pods(a="15", b="25")
        await cluster.furnish("a", "b")
        # when
        await cluster.autoscaler(PODS)
        # then
        await cluster.size(4)
        assert (await cluster.shown())[0]["pods"]["current"] == {"averageValue": "20"}
        assert set(cluster.adapter.askers.values()) == {ACCOUNT}
        # when they do a quarter, in thousandths
        cluster.adapter.pages[QPS_PATH] = of_pods(a="2500m", b="2500m")
        code, _ = await cluster.asker.merge(f"{HPAS}/h", {"spec": {"behavior": {"scaleDown": {"stabilizationWindowSeconds": 0}}}})
        assert code == 200
        # then
        await cluster.size(1)

    with_metrics(check)


def test_a_metric_with_a_selector_of_its_own_asks_for_that_too() -> None:
    async def check(cluster: Cluster) -> None:
        metric = {"name": "qps", "selector": {"matchLabels": {"verb": "GET"}, "matchExpressions": [{"key": "code", "operator": "NotIn", "values": ["500"]}]}}
        cluster.adapter.pages[f"{QPS_PATH}&metricLabelSelector=code+notin+%28500%29%2Cverb%3DGET"] = of_pods(a="30", b="30")
        await cluster.furnish("a", "b")
        await cluster.autoscaler({"type": "Pods", "pods": {**PODS["pods"], "metric": metric}})  # type: ignore[dict-item]
        await until(lambda: cluster.adapter.askers, "a question")
        assert list(cluster.adapter.askers) == list(cluster.adapter.pages)
        await cluster.size(6)

    with_metrics(check)


def test_a_metric_of_an_object_is_read_at_its_place() -> None:
    async def check(cluster: Cluster) -> None:
        # given an ingress with six hundred requests, of which each pod may have two hundred
        cluster.adapter.pages[f"{CUSTOM}/namespaces/default/ingresses.networking.k8s.io/main/requests"] = of_object("600")
        await cluster.furnish("a", "b")
        await cluster.autoscaler(about("networking.k8s.io/v1", "Ingress", "main", type="AverageValue", averageValue="200"))
        # then
        await cluster.size(3)

    with_metrics(check)


def test_a_namespaces_metric_is_that_of_the_autoscalers_own_and_a_nodes_is_asked_for_in_it() -> None:
    async def check(cluster: Cluster) -> None:
        cluster.adapter.pages[f"{CUSTOM}/namespaces/default/metrics/requests"] = of_object("60")
        cluster.adapter.pages[f"{CUSTOM}/namespaces/default/nodes/n1/requests"] = of_object("50")
        await cluster.furnish("a", "b")
        await cluster.autoscaler(about("v1", "Namespace", "another", type="Value", value="20"), about("v1", "Node", "n1", type="Value", value="10"))
        # then the greater of the two counts
        await cluster.size(10)
        assert [one["object"]["current"] for one in await cluster.shown()] == [{"value": "60"}, {"value": "50"}]

    with_metrics(check)


def test_a_metric_from_outside_is_the_sum_of_what_comes() -> None:
    async def check(cluster: Cluster) -> None:
        # given the documentation's example: thirty tasks a worker
        cluster.adapter.pages[QUEUE_PATH] = of_outside("100", "50500m")
        await cluster.furnish("a", "b")
        await cluster.autoscaler(QUEUE)
        # then
        await cluster.size(6)
        assert set(cluster.adapter.askers) == {QUEUE_PATH}

    with_metrics(check)


def test_the_older_version_is_read_where_there_is_no_other() -> None:
    async def check(cluster: Cluster) -> None:
        old = {"kind": "MetricValueList", "items": [{"describedObject": {"kind": "Pod", "name": name}, "metricName": "qps", "value": "40"} for name in ("a", "b")]}
        cluster.adapter.pages[QPS_PATH.replace("v1beta2", "v1beta1")] = old
        await cluster.furnish("a", "b")
        await cluster.autoscaler(PODS)
        await cluster.size(8)

    with_metrics(check, "v1beta1.custom.metrics.k8s.io")


def test_what_the_server_behind_refuses_is_told_in_its_words_and_another_metric_still_counts() -> None:
    async def check(cluster: Cluster) -> None:
        # given that it knows the queue only
        await cluster.furnish("a", "b")
        await cluster.autoscaler(PODS)
        assert await cluster.active("False", "FailedGetPodsMetric") == (
            "the HPA was unable to compute the replica count: unable to get metric qps: unable to fetch metrics from custom metrics API: "
            "the server could not find the metric for that")
        # when one that wants more is named, too
        cluster.adapter.pages[QUEUE_PATH] = of_outside("150")
        code, _ = await cluster.asker.merge(f"{HPAS}/h", {"spec": {"metrics": [PODS, QUEUE]}})
        assert code == 200
        # then it counts
        await cluster.size(5)

    with_metrics(check)


def test_a_server_behind_that_fails_stops_scaling_until_it_is_back() -> None:
    async def check(cluster: Cluster) -> None:
        cluster.adapter.code = 500
        await cluster.furnish("a", "b")
        await cluster.autoscaler(QUEUE)
        message = await cluster.active("False", "FailedGetExternalMetric")
        assert "unable to fetch metrics from external metrics API: " in message
        assert message.endswith("(get depth.external.metrics.k8s.io)")
        # when it is back
        cluster.adapter.code = 200
        cluster.adapter.pages[QUEUE_PATH] = of_outside("120")
        # then
        await cluster.size(4)

    with_metrics(check)


def test_what_is_no_metric_is_told_and_scales_nothing() -> None:
    async def check(cluster: Cluster) -> None:
        await cluster.furnish("a", "b")
        await cluster.autoscaler(QUEUE)
        for nonsense, why in (
            (of_outside("lots"), "$.items[0].value"), (of_outside("1", True), "$.items[0].value"), ({"items": "none"}, "$.items"),
            ({"items": [7]}, "$.items[0]"), ({"items": [{"timestamp": "yesterday", "value": "1"}]}, "$.items[0].timestamp"),
            (b"<html>", "JSON is malformed"), (b"[]", "Expected `object`"), (of_outside(), "no metrics returned from external metrics API"),
        ):
            cluster.adapter.pages[QUEUE_PATH] = nonsense

            async def told(expected: str = why) -> bool:
                return expected in await cluster.active("False", "FailedGetExternalMetric")

            await until(told, f"a message about {why}")
        assert (await cluster.asker.must("GET", f"{DEPLOYMENTS}/web"))["spec"]["replicas"] == 2

    with_metrics(check)


def test_an_object_has_one_value_neither_none_nor_two() -> None:
    async def check(cluster: Cluster) -> None:
        path = f"{CUSTOM}/namespaces/default/ingresses.networking.k8s.io/main/requests"
        await cluster.furnish("a", "b")
        await cluster.autoscaler(about("networking.k8s.io/v1", "Ingress", "main", type="Value", value="20"))
        for number in (0, 2):
            cluster.adapter.pages[path] = {"kind": "MetricValueList", "items": [value("100", kind="Ingress", name="main")] * number}
            wanted = f"the custom metrics API server returned {number} results when we asked for exactly one"

            async def told(expected: str = wanted) -> bool:
                return (await cluster.active("False", "FailedGetObjectMetric")).endswith(expected)

            await until(told, wanted)

    with_metrics(check)
