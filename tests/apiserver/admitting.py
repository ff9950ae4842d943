"""Admission requests for tests, and what becomes of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from sampan.api import codec
from sampan.api.errors import ApiError, Forbidden
from sampan.api.resourceinfo import Resource
from sampan.apiserver.admission.base import AdmissionRequest, Operation
from sampan.apiserver.admission.chain import Chain
from sampan.apiserver.request import ADMIN, User

NODE = User("system:node:n1", groups=("system:nodes", "system:authenticated"))


class At:
    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC)

    def monotonic(self) -> float:
        return 0.0


def ask(operation: Operation, resource: Resource[Any], body: dict[str, Any] | None = None, old: dict[str, Any] | None = None, *,
        subresource: str = "", namespace: str = "a", user: User = ADMIN, wire: Any = None, name: str = "", **values: Any) -> AdmissionRequest:
    """A request about an object that a dict describes."""
    def made(value: dict[str, Any] | None) -> Any:
        if value is None:
            return None
        obj = codec.convert(wire or resource.wire, {"metadata": {}} | value)
        obj.metadata.namespace = namespace if resource.namespaced else ""
        return obj

    obj, was = made(body), made(old)
    name = name or (obj or was).metadata.name
    return AdmissionRequest(operation, resource, subresource, namespace if resource.namespaced else "", name, user, obj, was, **values)


def admit(plugin: Any, request: AdmissionRequest) -> AdmissionRequest:
    """Both rounds, through a chain of the one plugin."""
    async def both() -> None:
        chain = Chain([plugin])
        await chain.admit(request)
        await chain.validate(request)

    asyncio.run(both())
    return request


def refusal(plugin: Any, request: AdmissionRequest, kind: type[ApiError] = Forbidden) -> str:
    """Why it is refused."""
    with pytest.raises(kind) as caught:
        admit(plugin, request)
    return caught.value.message


def pod(name: str = "web", **spec: Any) -> dict[str, Any]:
    """A pod of one container."""
    meta = spec.pop("metadata", {})
    return {"metadata": {"name": name, **meta}, "spec": {"containers": [{"name": "c", "image": "nginx"}], **spec}}


def container(**values: Any) -> dict[str, Any]:
    """A pod's containers, one."""
    return {"containers": [{"name": "c", "image": "nginx", **values}]}


Refuse = Callable[[AdmissionRequest], str]
