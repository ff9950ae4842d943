"""PATCH: JSON, merge and strategic merge patches, and server-side apply.

Source: `k8s.io/apiserver/pkg/endpoints/handlers/patch.go`.
"""

from __future__ import annotations

from typing import Any

from sampan.api import codec
from sampan.api.errors import BadRequest, UnsupportedMediaType
from sampan.apiserver import bodies
from sampan.apiserver.catalog import Served
from sampan.apiserver.handlers.base import Api, Body, form_of, object_answer, write_of
from sampan.apiserver.options import write_options
from sampan.apiserver.request import RequestInfo
from sampan.apiserver.response import Response

JSON_PATCH = "application/json-patch+json"
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"


async def patch(api: Api, info: RequestInfo, served: Served, body: Body) -> Response:
    """Apply a patch to the object as it is, as often as others are faster."""
    form = form_of(info)
    kind = info.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != MERGE:
        raise UnsupportedMediaType(f"the body of the request was in an unknown format - accepted media types include: {MERGE}")
    options = write_options(info, "PatchOptions")
    change = _loads(await body())

    def produce(old: Any) -> Any:
        merged = _merge(codec.loads(codec.encode(old)), change)
        return bodies.decode(served, codec.encode(merged), validation=options.validation, warnings=info.warnings)

    namespace = info.namespace if served.resource.namespaced else ""
    written = await api.registry.update(served, namespace, info.name, produce, write_of(info, options))
    return object_answer(api, info, served, written.object, written.body, form=form)


def _loads(raw: bytes) -> Any:
    try:
        return codec.loads(raw)
    except codec.DecodeError as error:
        raise BadRequest(f"error decoding patch: {error}") from None


def _merge(target: Any, change: Any) -> Any:
    """RFC 7386, in place."""
    if not isinstance(change, dict):
        return change
    if not isinstance(target, dict):
        target = {}
    for key, value in change.items():
        if value is None:
            target.pop(key, None)
        else:
            target[key] = _merge(target.get(key), value) if isinstance(value, dict) else value
    return target
