"""The versions of a resource, as policies need them: which others show the same objects, and objects as those show them.

Source: apiserver `pkg/admission/plugin/webhook/generic/webhook.go` and `conversion.go`, `pkg/admission/plugin/policy/matching`.
"""

from __future__ import annotations

from typing import Any

from msgspec import structs

from sampan.api import codec
from sampan.api.resourceinfo import Resource
from sampan.apiserver.admission.base import AdmissionRequest
from sampan.apiserver.catalog import Catalog, Served
from sampan.apiserver.crossing import crossed
from sampan.apiserver.webhooks.matching import equivalents


class Versions:
    """Everything that is served, custom resources as well."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def find(self, api_version: str, kind: str) -> Resource[Any] | None:
        """Where objects of a kind are stored."""
        return next((one.stored for one in self._catalog
                     if one.resource.kind == kind and one.resource.group_version == api_version and not one.virtual), None)

    def others(self, resource: Resource[Any]) -> list[Resource[Any]]:
        """What else shows the same stored objects."""
        return [one.resource for one in equivalents(self._catalog, resource)]

    def shown(self, request: AdmissionRequest, resource: Resource[Any]) -> AdmissionRequest:
        """The request as if it were one about `resource`: that one itself, or a copy with objects of its own."""
        if resource is request.resource or request.subresource not in ("", "status"):
            return request
        here, there = self._served(request.resource), self._served(resource)
        obj, old = (None if one is None else crossed(codec.clone(one), here, there) for one in (request.object, request.old))
        return structs.replace(request, resource=resource, object=obj, old=old)

    def back(self, request: AdmissionRequest, seen: AdmissionRequest) -> Any:
        """The object of `seen` as one of the request's own resource."""
        return seen.object if seen is request else crossed(seen.object, self._served(seen.resource), self._served(request.resource))

    def _served(self, resource: Resource[Any]) -> Served:
        served = self._catalog.find(resource.group, resource.version, resource.plural)
        assert served is not None, f"{resource} is served: it came from the catalog"
        return served
