"""Calls to conversion webhooks. Owns the timeout and what a failure is called; leaves the bodies to `conversionreview`.

Source: apiextensions-apiserver `pkg/apiserver/conversion/webhook_converter.go`.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Protocol

from sampan.api.admissionregistration.v1 import ServiceReference, WebhookClientConfig
from sampan.api.apiextensions.v1 import CustomResourceDefinition
from sampan.api.errors import OtherStatus
from sampan.apiserver.crd import conversionreview
from sampan.apiserver.crd.conversionreview import Object, Unconvertible
from sampan.apiserver.webhooks.client import CallFailed, NoClient
from sampan.lib.clock import Identity

log = logging.getLogger(__name__)

TIMEOUT_SECONDS = 30
MOST_OBJECTS = 500
"""So many go in one request; upstream sends a list whole."""


class Posts(Protocol):
    """The client of webhooks."""

    async def post(self, config: WebhookClientConfig, body: bytes, timeout_seconds: int) -> bytes: ...


class WebhookConverter:
    """Converts the objects of one definition."""

    def __init__(self, crd: CustomResourceDefinition, client: Posts, identity: Identity) -> None:
        hook = crd.spec.conversion.webhook if crd.spec.conversion is not None else None
        assert hook is not None and hook.clientConfig is not None, "validated"  # noqa: PT018 - one thought
        given, service = hook.clientConfig, hook.clientConfig.service
        self._config = WebhookClientConfig(url=given.url, caBundle=given.caBundle, service=None if service is None else ServiceReference(
            namespace=service.namespace, name=service.name, path=service.path, port=service.port))
        self._versions = tuple(hook.conversionReviewVersions or ())
        self._client, self._identity, self._name = client, identity, crd.metadata.name

    async def convert(self, objects: Sequence[Object], desired: str) -> list[Object]:
        """The objects in another version, in their order; those that are in it already as they are.

        Raises:
            OtherStatus: A 500: the webhook can't be asked, or its answer can't be believed.
        """
        out = list(objects)
        places = [place for place, obj in enumerate(objects) if obj.get("apiVersion") != desired]
        for start in range(0, len(places), MOST_OBJECTS):
            some = places[start:start + MOST_OBJECTS]
            try:
                found = await self._ask([objects[place] for place in some], desired)
            except Unconvertible as error:
                log.warning("custom resources can't be converted", extra={"definition": self._name, "to": desired, "why": str(error)})
                raise OtherStatus(str(error), code=500) from error
            for place, obj in zip(some, found, strict=True):
                out[place] = obj
        return out

    async def _ask(self, objects: list[Object], desired: str) -> list[Object]:
        version, uid, first = conversionreview.version_of(self._versions), self._identity.uid(), objects[0]
        try:
            answer = await self._client.post(self._config, conversionreview.render(version, uid, desired, objects), TIMEOUT_SECONDS)
            found = conversionreview.read(version, uid, answer)
        except (NoClient, CallFailed, Unconvertible) as error:
            raise conversionreview.failed(first, f"failed: {error}") from error
        if len(found) != len(objects):
            raise conversionreview.failed(first, f"returned {len(found)} objects, expected {len(objects)}")
        converted = []
        for index, (original, new) in enumerate(zip(objects, found, strict=True)):
            try:
                converted.append(conversionreview.checked(original, new, desired))
            except Unconvertible as error:
                raise conversionreview.failed(original, f"returned invalid converted object at index {index}: {error}") from error
        return converted
