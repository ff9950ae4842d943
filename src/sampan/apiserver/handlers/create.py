"""POST to a collection."""

from __future__ import annotations

from typing import Any

from sampan.api.errors import BadRequest, NotFound
from sampan.apiserver import bodies, metadata
from sampan.apiserver.auth.reviews import REVIEWS
from sampan.apiserver.catalog import Served
from sampan.apiserver.handlers.base import Api, Body, form_of, not_allowed, object_answer, write_of
from sampan.apiserver.handlers.owners import once_each
from sampan.apiserver.handlers.virtual import review
from sampan.apiserver.options import write_options
from sampan.apiserver.request import RequestInfo
from sampan.apiserver.response import Response


async def create(api: Api, info: RequestInfo, served: Served, body: Body) -> Response:
    """Decode, create, answer 201 with the object."""
    form = form_of(info)
    content_type = info.headers.get("content-type", "")
    repeated: list[str] = []
    raw = await bodies.read(body, content_type, served.resource.kind, repeated)
    options = write_options(info, "CreateOptions")
    obj = bodies.decode(served, raw, validation=options.validation, warnings=info.warnings, repeated=repeated)
    check_namespace(served, obj, info.namespace)
    if served.virtual:
        if served.resource in REVIEWS:
            api.registry.fields.record(served, obj, None, manager=options.manager, subresource="", now=api.registry.now())
            return await review(api.parts["reviewer"], info, served, obj)
        raise not_allowed()
    once_each(obj, info.warnings)

    def again() -> Any:
        twin = bodies.decode(served, raw, validation=options.validation, warnings=[], repeated=repeated)
        once_each(twin, [])
        return twin

    written = await api.registry.create(served, info.namespace, obj, write_of(info, options), again)
    return object_answer(api, info, served, written.object, written.body, code=201, form=form)


def check_namespace(served: Served, obj: Any, namespace: str) -> None:
    """The object's namespace is the request's.

    Raises:
        BadRequest: It is another.
    """
    if not served.resource.namespaced:
        return
    if not namespace:
        raise NotFound("the server could not find the requested resource")
    meta = metadata.meta_of(obj)
    if meta.namespace and meta.namespace != namespace:
        raise BadRequest("the namespace of the provided object does not match the namespace sent on the request")
