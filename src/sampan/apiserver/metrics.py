"""/metrics: what was asked and answered, under upstream's names. prometheus-client is imported with the first scrape.

Source: `k8s.io/apiserver/pkg/endpoints/metrics`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from sampan.apiserver.catalog import Served
from sampan.apiserver.request import RequestInfo
from sampan.apiserver.response import Answer

LABELS = ["verb", "group", "version", "resource", "subresource", "scope", "code", "component", "dry_run"]
MOST_SERIES = 20_000
_VERBS = {"create": "POST", "update": "PUT", "patch": "PATCH", "delete": "DELETE", "deletecollection": "DELETECOLLECTION",
          "get": "GET", "list": "LIST", "watch": "WATCH"}


class Metrics:
    """Counts requests; keeps the pipeline's `Audit` contract."""

    def __init__(self, objects: Callable[[], dict[str, int]], find: Callable[[str, str, str], Served | None]) -> None:
        """`objects` counts what is stored, by `resource.group`; `find` knows what is served."""
        self._objects, self._find = objects, find
        self.more: list[Callable[[], Iterator[Any]]] = []
        """Further families, asked at every scrape."""
        self._requests: dict[tuple[str, ...], int] = {}
        self._registry: Any = None

    def answered(self, request: RequestInfo, code: int) -> None:
        """Count one request. Words that a client made up are no labels: there is no end of them."""
        served = self._find(request.group, request.version, request.resource) if request.is_resource else None
        if served is None:
            key = (request.method, "", "", "", "", "", str(code))
        else:
            scope = "resource" if request.name else "namespace" if request.namespace else "cluster"
            subresource = request.subresource if request.subresource in served.subresources else ""
            key = (_VERBS.get(request.verb, request.method), request.group, request.version, request.resource, subresource, scope, str(code))
        requests = self._requests
        if key in requests:
            requests[key] += 1
        elif len(requests) < MOST_SERIES:
            requests[key] = 1

    def answer(self) -> Answer:
        """The text form."""
        import prometheus_client

        if self._registry is None:
            self._registry = prometheus_client.CollectorRegistry()
            prometheus_client.ProcessCollector(registry=self._registry)
            prometheus_client.PlatformCollector(registry=self._registry)
            self._registry.register(self)
        return Answer(200, prometheus_client.generate_latest(self._registry), b"text/plain; version=0.0.4; charset=utf-8")

    def collect(self) -> Iterator[Any]:
        """prometheus-client's way of asking."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        total = CounterMetricFamily("apiserver_request_total", "Counter of apiserver requests broken out for each verb, dry run "
                                    "value, group, version, resource, scope, component, and HTTP response code.", labels=LABELS)
        for (verb, group, version, resource, subresource, scope, code), count in list(self._requests.items()):
            total.add_metric([verb, group, version, resource, subresource, scope, code, "apiserver", ""], count)
        yield total
        stored = GaugeMetricFamily("apiserver_storage_objects", "Number of stored objects at the time of last check split by kind.",
                                   labels=["resource"])
        for resource, count in self._objects().items():
            stored.add_metric([resource], count)
        yield stored
        for collect in self.more:
            yield from collect()
