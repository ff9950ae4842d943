"""Who may use the agent's port: client certificates of the cluster's CA, bearer tokens by TokenReview, and a
SubjectAccessReview on `nodes/<subresource>` for everyone. Answers are kept for a short time, bounded.

Source: kubelet `pkg/kubelet/server/auth.go`, the webhook authorizer's cache times.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from sampan.aio.clock import AsyncClock
from sampan.api.authentication.v1 import TokenReview, TokenReviewSpec
from sampan.api.authorization.v1 import ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec
from sampan.api.errors import Forbidden, Unauthorized
from sampan.api.resources import SUBJECT_ACCESS_REVIEWS, TOKEN_REVIEWS
from sampan.client.base import Client

ALLOWED_SECONDS, DENIED_SECONDS, TOKEN_SECONDS = 300.0, 30.0, 120.0
MOST_KEPT = 1024
SUPERUSERS = "system:masters"


@dataclass(frozen=True)
class Caller:
    """Who asks."""

    name: str
    groups: tuple[str, ...] = ()
    uid: str = ""


def subresources_of(path: str) -> tuple[str, ...]:
    """The `nodes/…` subresources any of which lets a caller use this path, the narrowest first. Pure."""
    table = (("/stats", "stats"), ("/metrics", "metrics"), ("/logs", "log"), ("/checkpoint", "checkpoint"),
             ("/healthz", "healthz"), ("/configz", "configz"), ("/pods", "pods"))
    for prefix, name in table:
        if path == prefix or path.startswith(f"{prefix}/"):
            return (name, "proxy") if name in ("healthz", "configz", "pods") else (name,)
    return ("proxy",)


class Gate:
    """Authenticates and authorizes one node's callers."""

    def __init__(self, client: Client, node: str, *, clock: AsyncClock) -> None:
        self._client, self._node, self._clock = client, node, clock
        self._decisions: OrderedDict[tuple[Any, ...], tuple[float, bool]] = OrderedDict()
        self._tokens: OrderedDict[str, tuple[float, Caller | None]] = OrderedDict()

    async def identify(self, certificate: dict[str, Any] | None, authorization: str) -> Caller:
        """The caller.

        Args:
            certificate: The verified peer certificate as `ssl.SSLSocket.getpeercert` gives it.
            authorization: The Authorization header.

        Raises:
            Unauthorized: Neither is good.
        """
        if certificate:
            pairs = [pair for rdn in certificate.get("subject", ()) for pair in rdn]
            name = next((value for key, value in pairs if key == "commonName"), "")
            if name:
                groups = [value for key, value in pairs if key == "organizationName"]
                return Caller(name, (*groups, "system:authenticated"))
        kind, _, token = authorization.partition(" ")
        if kind.lower() == "bearer" and token.strip():
            caller = await self._review(token.strip())
            if caller is not None:
                return caller
        raise Unauthorized

    async def _review(self, token: str) -> Caller | None:
        # by digest: a look-up by the token itself would compare secrets in their own time
        now, digest = self._clock.monotonic(), hashlib.sha256(token.encode()).hexdigest()
        kept = self._tokens.get(digest)
        if kept is not None and kept[0] > now:
            return kept[1]
        review: TokenReview = await self._client.create(TOKEN_REVIEWS, TokenReview(spec=TokenReviewSpec(token=token)))
        user = review.status.user
        caller = Caller(user.username, tuple(user.groups), user.uid) if review.status.authenticated else None
        _keep(self._tokens, digest, (now + TOKEN_SECONDS, caller))
        return caller

    async def check(self, caller: Caller, method: str, path: str) -> None:
        """Let the request pass.

        Raises:
            Forbidden: The API server says no.
        """
        verb = {"GET": "get", "HEAD": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}.get(method, "get")
        subresources = subresources_of(path)
        for subresource in subresources:
            if await self._allowed(caller, verb, subresource):
                return
        raise Forbidden(f"Forbidden (user={caller.name}, verb={verb}, resource=nodes, subresource(s)={list(subresources)})")

    async def _allowed(self, caller: Caller, verb: str, subresource: str) -> bool:
        if SUPERUSERS in caller.groups:
            return True
        now, key = self._clock.monotonic(), (caller, verb, subresource)
        kept = self._decisions.get(key)
        if kept is not None and kept[0] > now:
            return kept[1]
        review: SubjectAccessReview = await self._client.create(SUBJECT_ACCESS_REVIEWS, SubjectAccessReview(spec=SubjectAccessReviewSpec(
            user=caller.name, groups=list(caller.groups), uid=caller.uid,
            resourceAttributes=ResourceAttributes(verb=verb, version="v1", resource="nodes", subresource=subresource, name=self._node))))
        allowed = review.status.allowed
        _keep(self._decisions, key, (now + (ALLOWED_SECONDS if allowed else DENIED_SECONDS), allowed))
        return allowed


def _keep(cache: OrderedDict[Any, Any], key: Any, value: Any) -> None:
    cache[key] = value
    cache.move_to_end(key)
    while len(cache) > MOST_KEPT:
        cache.popitem(last=False)
