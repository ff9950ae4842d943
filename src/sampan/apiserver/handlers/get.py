"""GET of one object, or of a subresource that is the object itself."""

from __future__ import annotations

from sampan.api import codec
from sampan.api.errors import BadRequest, InternalError, OtherStatus
from sampan.apiserver.catalog import Served
from sampan.apiserver.handlers.base import Api, Body, form_of, object_answer
from sampan.apiserver.handlers.list import check_not_newer
from sampan.apiserver.options import first
from sampan.apiserver.protobodies import OBJECT, entry_body
from sampan.apiserver.request import RequestInfo
from sampan.apiserver.response import Answer, Response


async def get(api: Api, info: RequestInfo, served: Served, body: Body) -> Response:
    """The object's bytes as they are in the cache."""
    del body
    form = form_of(info)
    await api.registry.current(served)
    if info.query:
        if "export" in info.query:
            raise BadRequest("the export parameter, deprecated since v1.14, is no longer supported")
        revision = first(info.query, "resourceVersion")
        if revision and not (revision.isascii() and revision.isdigit()):
            raise OtherStatus(f'resourceVersion: Invalid value: "{revision}": strconv.ParseUint: parsing "{revision}": invalid syntax',
                              code=500)
        if revision:
            check_not_newer(api, served, int(revision))
    entry = api.registry.entry(served, info.namespace if served.resource.namespaced else "", info.name)
    if served.outward is None:
        if form.plain:
            return Answer(200, entry.body, entry=entry)
        if form.protobuf and not form.shape:
            return Answer(200, entry_body(served, entry, form), OBJECT, entry=entry)
        return object_answer(api, info, served, entry.object, entry.body, form=form)
    obj = served.outward(entry.object)
    if obj is None:
        raise InternalError("the stored object has no form in this version")
    return object_answer(api, info, served, obj, codec.encode(obj), form=form)
