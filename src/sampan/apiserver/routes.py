"""Paths that name no resource: health, version, the index, keys of tokens; discovery and OpenAPI from their own modules.

Source: `k8s.io/apiserver/pkg/server/routes`.
"""

from __future__ import annotations

from sampan.apiserver import health
from sampan.apiserver.aggregation.aggregator import Aggregator
from sampan.apiserver.auth.serviceaccounts import Issuer, jwks, openid_configuration
from sampan.apiserver.discovery import Discovery
from sampan.apiserver.flowcontrol import dump
from sampan.apiserver.flowcontrol.controller import FlowControl
from sampan.apiserver.handlers.base import Api, not_allowed
from sampan.apiserver.health import LIVE, READY, Health
from sampan.apiserver.metrics import Metrics
from sampan.apiserver.openapi import descriptions
from sampan.apiserver.openapi.documents import Documents
from sampan.apiserver.request import RequestInfo
from sampan.apiserver.response import Response, json_answer, page_not_found, text_answer

PAGES = ("/.well-known/openid-configuration", "/openapi/v2", "/openapi/v3", "/openapi/v3/", "/openid/v1/jwks", "/version")


class Routes:
    """Answers what is no resource."""

    def __init__(self, api: Api, checks: Health, issuer: Issuer, server_address: str = "", *,
                 metrics: Metrics | None = None, flow: FlowControl | None = None) -> None:
        """`server_address`: host and port that /api tells of; empty: what the client has called."""
        self._health, self._issuer, self._metrics, self._flow = checks, issuer, metrics, flow
        aggregator: Aggregator | None = api.parts.get("aggregator")
        self._discovery = Discovery(api.catalog, server_address, aggregator)
        texts = descriptions.find(f"{health.MAJOR}.{health.MINOR}")
        self._openapi = Documents(api.catalog, health.GIT_VERSION, lambda: descriptions.read(texts), aggregator)

    async def answer(self, info: RequestInfo) -> Response:
        """The page, or Go's 404."""
        path = info.path.rstrip("/") or "/"
        root = path.split("/")[1]
        if root in ("api", "apis"):
            parts = path.strip("/").split("/")
            # a group's own page minds no method, and one that is not there has no methods at all
            minds = root == "api" or len(parts) == 1 or (len(parts) > 2 and parts[1] in self._discovery.groups())
            if info.method not in ("GET", "HEAD") and minds:
                raise not_allowed()
            return self._discovery.answer(info, parts)
        if root == "openapi":
            return await self._openapi.answer(info)
        if root in ("livez", "readyz", "healthz"):
            return await self._health.asked(path, info.query)
        if path == "/metrics" and self._metrics is not None:
            return self._metrics.answer()
        if path.startswith(dump.PATH) and self._flow is not None:
            page = self._flow.dump(path.removeprefix(dump.PATH), details=bool(info.query.get("includeRequestDetails", [""])[0]))
            return page_not_found() if page is None else text_answer(page)
        if path == "/version":
            return health.version()
        if path == "/.well-known/openid-configuration":
            return json_answer(openid_configuration(self._issuer))
        if path == "/openid/v1/jwks":
            return json_answer(jwks(self._issuer))
        if path == "/":
            return json_answer({"paths": self._index()})
        return page_not_found()

    def _index(self) -> list[str]:
        checks = [f"/{root}{check}" for root, names in (("healthz", LIVE), ("livez", LIVE), ("readyz", READY))
                  for check in ("", *(f"/{name}" for name in names))]
        return sorted((*PAGES, *self._discovery.paths(), *checks))
