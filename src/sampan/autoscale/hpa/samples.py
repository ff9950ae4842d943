"""What the metrics APIs say about the pods of a scale, an object, or the outside.

Owns the paths and bodies of metrics.k8s.io, custom.metrics.k8s.io and external.metrics.k8s.io and the words in which
their failures are told. Leaves what follows from the numbers to `measure`.
Source: kube-controller-manager `podautoscaler/metrics/client.go`, k8s.io/metrics `custom_metrics`, `external_metrics`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from typing import Any, TypeVar
from urllib.parse import urlencode

from msgspec import Struct, field

from sampan.api import codec
from sampan.api.autoscaling.v2 import CrossVersionObjectReference, MetricIdentifier, MetricSpec
from sampan.api.errors import ApiError, OtherStatus
from sampan.api.quantity import milli
from sampan.api.scalars import Quantity, Time
from sampan.api.selectors import format_go, format_selector
from sampan.autoscale.hpa.answers import error_of, unreadable
from sampan.autoscale.hpa.measure import Sample, Samples, Unmeasured
from sampan.client.base import Client
from sampan.control.catalog import Catalog

RESOURCE, CUSTOM, EXTERNAL = "metrics.k8s.io", "custom.metrics.k8s.io", "external.metrics.k8s.io"
CUSTOM_VERSIONS = ("v1beta2", "v1beta1")
UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}


def seconds_of(duration: str) -> float:
    """A duration as Go writes it (`1m30s`); 0 where it is none."""
    return sum(float(number) * UNITS[unit] for number, unit in re.findall(r"(\d+(?:\.\d+)?)(h|ms|m|us|µs|ns|s)", duration))


class Named(Struct):
    """Of an object's metadata, or of a reference to it."""

    name: str = ""
    namespace: str = ""


class ContainerUse(Struct):
    """What a container of a pod uses."""

    name: str = ""
    usage: dict[str, Quantity | None] | None = None


class PodUse(Struct):
    """PodMetrics of metrics.k8s.io."""

    metadata: Named = field(default_factory=Named)
    timestamp: Time | None = None
    window: str = ""
    containers: list[ContainerUse] | None = None


class Value(Struct):
    """MetricValue of custom.metrics.k8s.io, or ExternalMetricValue of external.metrics.k8s.io."""

    describedObject: Named | None = None
    timestamp: Time | None = None
    value: Quantity | None = None


class Values(Struct):
    """A list of them."""

    items: list[Value] | None = None


class PodUses(Struct):
    """A list of them."""

    items: list[PodUse] | None = None


Listed = TypeVar("Listed", Values, PodUses)


def of_pods(items: Iterable[PodUse], resource: str, container: str = "") -> dict[str, Sample]:
    """The use of a resource by pod (or its container); pods that lack it, or such a container, are left out."""
    found = {}
    for item in items:
        containers = [one for one in item.containers or () if not container or one.name == container]
        usages = [milli(one.usage[resource] or "0") for one in containers if one.usage and resource in one.usage]
        if usages and len(usages) == len(containers):
            found[item.metadata.name] = Sample(sum(usages), _moment(item), seconds_of(item.window))
    return found


def of_values(items: Iterable[Value]) -> dict[str, Sample]:
    """The value by the described object's name."""
    return {item.describedObject.name if item.describedObject is not None else "": Sample(_amount(item), _moment(item)) for item in items}


def _amount(item: Value) -> int:
    return milli(item.value or "0")


def _moment(item: Value | PodUse) -> datetime | None:
    return item.timestamp.moment() if item.timestamp is not None else None


class MetricsReader:
    """Reads metrics; every failure is an `Unmeasured` in upstream's words."""

    def __init__(self, client: Client, catalog: Catalog) -> None:
        self._client, self._catalog = client, catalog

    async def read(self, spec: MetricSpec, namespace: str, selector: str) -> Samples | int:
        """What the metric says about the pods that `selector` selects, or about its object.

        Raises:
            Unmeasured: The API is not there, fails, or has nothing.
        """
        if spec.resource is not None:
            return await self._resource(namespace, selector, spec.resource.name)
        if spec.containerResource is not None:
            return await self._resource(namespace, selector, spec.containerResource.name, spec.containerResource.container)
        if spec.pods is not None:
            return await self._pods(namespace, selector, spec.pods.metric)
        if spec.object is not None:
            return await self._object(namespace, spec.object.describedObject, spec.object.metric, share=spec.object.target.type != "Value")
        if spec.external is not None:
            return await self._external(namespace, spec.external.metric, share=spec.external.target.averageValue is not None)
        raise Unmeasured(f'unknown metric source type "{spec.type}"')

    async def _resource(self, namespace: str, selector: str, resource: str, container: str = "") -> Samples:
        prefix = f"unable to get metrics for resource {resource}: "
        try:
            items = await self._items(PodUses, f"/apis/{RESOURCE}/v1beta1/namespaces/{namespace}/pods", f"pods.{RESOURCE}", labelSelector=selector)
        except ApiError as error:
            raise Unmeasured(f"{prefix}unable to fetch metrics from resource metrics API: {error.message}") from None
        if not items:
            raise Unmeasured(f"{prefix}no metrics returned from resource metrics API")
        return of_pods(items, resource, container)

    async def _pods(self, namespace: str, selector: str, metric: MetricIdentifier) -> Samples:
        prefix = f"unable to get metric {metric.name}: "
        try:
            items = await self._custom(f"namespaces/{namespace}/pods/*/{metric.name}", f"pods.{CUSTOM} *", metric, labelSelector=selector)
        except ApiError as error:
            raise Unmeasured(f"{prefix}unable to fetch metrics from custom metrics API: {error.message}") from None
        if not items:
            raise Unmeasured(f"{prefix}no metrics returned from custom metrics API")
        return of_values(items)

    async def _object(self, namespace: str, about: CrossVersionObjectReference, metric: MetricIdentifier, *, share: bool) -> int:
        prefix = f"unable to get metric {metric.name}: {about.kind} on {namespace} {about.name}/"
        try:
            if about.kind == "Namespace" and "/" not in about.apiVersion:
                # its own, whatever name is given
                items = await self._custom(f"namespaces/{namespace}/metrics/{metric.name}", f"metrics.{CUSTOM} {metric.name}", metric)
            else:
                resource = self._catalog.of_kind(about.apiVersion, about.kind)
                if resource is None:
                    await self._custom_version()  # that there is no such API at all comes first
                    raise OtherStatus(f'no matches for kind "{about.kind}" in group "{about.apiVersion.rpartition("/")[0]}"', code=404)
                # below the namespace also for what is the cluster's: an autoscaler can't look beyond its own
                items = await self._custom(f"namespaces/{namespace}/{resource.group_resource}/{about.name}/{metric.name}",
                                           f"{resource.group_resource}.{CUSTOM} {about.name}", metric)
            if len(items) != 1:
                raise OtherStatus(f"the custom metrics API server returned {len(items)} results when we asked for exactly one", code=500)
        except ApiError as error:
            message = f"{prefix}unable to fetch metrics from custom metrics API: {error.message}"
            raise Unmeasured(message, f"failed to get {metric.name} object metric: {message}" if share else "") from None
        return _amount(items[0])

    async def _external(self, namespace: str, metric: MetricIdentifier, *, share: bool) -> int:
        prefix = f"unable to get external metric {namespace}/{metric.name}/{format_go(metric.selector)}: "
        outer = f"failed to get {metric.name} external metric: " if share else f"failed to get external metric {metric.name}: "
        selector = format_selector(metric.selector) if metric.selector is not None else ""
        try:
            items = await self._items(Values, f"/apis/{EXTERNAL}/v1beta1/namespaces/{namespace}/{metric.name}", f"{metric.name}.{EXTERNAL}",
                                      labelSelector=selector)
        except ApiError as error:
            message = f"{prefix}unable to fetch metrics from external metrics API: {error.message}"
            raise Unmeasured(message, outer + message) from None
        if not items:
            message = f"{prefix}no metrics returned from external metrics API"
            raise Unmeasured(message, outer + message)
        return sum(map(_amount, items))

    async def _custom(self, path: str, title: str, metric: MetricIdentifier, **query: str) -> list[Value]:
        version = await self._custom_version()
        selector = format_selector(metric.selector) if metric.selector is not None else ""
        return await self._items(Values, f"/apis/{CUSTOM}/{version}/{path}", title, **query, metricLabelSelector=selector)

    async def _custom_version(self) -> str:
        answer = await self._client.raw("GET", f"/apis/{CUSTOM}")
        if answer.code != 200:
            raise OtherStatus(f"no custom metrics API ({CUSTOM}) registered", code=404)
        served = {one.get("version") for one in codec.loads(answer.body).get("versions") or ()}
        for version in CUSTOM_VERSIONS:
            if version in served:
                return version
        raise OtherStatus(f"no known available metric versions found, the custom metrics API ({CUSTOM}) serves {', '.join(sorted(map(str, served)))}", code=404)

    async def _items(self, wire: type[Listed], path: str, title: str, **query: str) -> list[Any]:
        asked = urlencode({key: value for key, value in query.items() if value})
        answer = await self._client.raw("GET", f"{path}?{asked}" if asked else path)
        if answer.code == 200:
            try:
                return list(codec.decode(wire, answer.body).items or ())
            except codec.DecodeError as error:
                raise unreadable("a list of metrics", error, f"get {title}") from None
        raise error_of(answer, f"get {title}")
