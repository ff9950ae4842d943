"""The verbs of a `Client` whose requests are the same for every transport.

A transport asks (`_object`, `_done`) and has what differs: lists, watches, raw requests.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, TypeVar, cast

from sampan.api.resourceinfo import Resource
from sampan.client import requests
from sampan.client.base import MERGE_PATCH, DeleteOptions, PatchType

T = TypeVar("T")


class Verbs(ABC):
    """What `Client` says about one object at a time, and about deleting."""

    @abstractmethod
    async def _object(self, wire: type[Any], method: str, target: str, body: bytes = b"", kind: str = requests.JSON) -> Any:
        """The object of class `wire` that the server answers; raises its error as an `ApiError`."""

    @abstractmethod
    async def _done(self, method: str, target: str, body: bytes, kind: str = requests.JSON) -> None:
        """Ask and leave the answer unread; raises its error as an `ApiError`."""

    async def get(self, resource: Resource[T], name: str, namespace: str = "", *, subresource: str = "") -> T:
        return cast("T", await self._object(resource.wire, "GET", requests.path(resource, namespace, name, subresource)))

    async def create(self, resource: Resource[T], obj: Any, namespace: str = "", *, name: str = "",
                     subresource: str = "", field_manager: str = "") -> Any:
        own, own_name = requests.where(obj)
        target = requests.path(resource, namespace or own, (name or own_name) if subresource else "", subresource)
        wire = type(obj) if subresource else resource.wire
        body = requests.encoded(resource, obj, typed=not subresource)
        return await self._object(wire, "POST", target + requests.query(fieldManager=field_manager), body)

    async def update(self, resource: Resource[T], obj: T, *, subresource: str = "", field_manager: str = "") -> T:
        namespace, name = requests.where(obj)
        target = requests.path(resource, namespace, name, subresource) + requests.query(fieldManager=field_manager)
        return cast("T", await self._object(type(obj), "PUT", target, requests.encoded(resource, obj, typed=not subresource)))

    async def patch(  # noqa: PLR0913 - what a patch may say
        self, resource: Resource[T], name: str, namespace: str, patch: Any, *, type: PatchType = MERGE_PATCH,
        subresource: str = "", field_manager: str = "", force: bool = False, unread: bool = False,
    ) -> T:
        target = requests.path(resource, namespace, name, subresource) + requests.query(fieldManager=field_manager, force=force)
        if unread:
            return cast("T", await self._done("PATCH", target, requests.patch_body(patch), type))
        return cast("T", await self._object(resource.wire, "PATCH", target, requests.patch_body(patch), type))

    async def delete(self, resource: Resource[T], name: str, namespace: str = "",
                     options: DeleteOptions = DeleteOptions()) -> None:
        await self._done("DELETE", requests.path(resource, namespace, name), requests.delete_body(options))

    async def delete_all(self, resource: Resource[T], namespace: str = "", *, labels: str = "", fields: str = "",
                         options: DeleteOptions = DeleteOptions()) -> None:
        target = requests.path(resource, namespace) + requests.query(labelSelector=labels, fieldSelector=fields)
        await self._done("DELETE", target, requests.delete_body(options))
