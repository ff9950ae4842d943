"""Paths that name no resource: health, version, the index, keys of tokens; discovery and OpenAPI by their own modules.

Source: `k8s.io/apiserver/pkg/server/routes`.
"""

from __future__ import annotations

from sampan.apiserver import health
from sampan.apiserver.auth.serviceaccounts import Issuer, jwks, openid_configuration
from sampan.apiserver.handlers.base import Api, no_such_path, not_allowed
from sampan.apiserver.health import Health
from sampan.apiserver.request import RequestInfo
from sampan.apiserver.response import Response, json_answer, page_not_found


class Routes:
    """Answers what is no resource."""

    def __init__(self, api: Api, checks: Health, issuer: Issuer) -> None:
        self._api, self._health, self._issuer = api, checks, issuer

    async def answer(self, info: RequestInfo) -> Response:
        """The page, or Go's 404."""
        path = info.path.rstrip("/") or "/"
        root = path.split("/")[1]
        if root in ("api", "apis") and info.method not in ("GET", "HEAD"):
            raise not_allowed()
        if root in ("livez", "readyz", "healthz"):
            return self._health.answer(path, info.query)
        if path == "/version":
            return health.version()
        if path == "/.well-known/openid-configuration":
            return json_answer(openid_configuration(self._issuer))
        if path == "/openid/v1/jwks":
            return json_answer(jwks(self._issuer))
        parts = path.strip("/").split("/")
        if parts[0] in ("api", "apis") and (parts[0] == "api" or (len(parts) > 1 and self._api.catalog.has_group(parts[1]))):
            raise no_such_path()
        return page_not_found()
