"""DELETE of one object and of a collection."""

from __future__ import annotations

from sampan.api import codec
from sampan.api.errors import NotFound
from sampan.apiserver.bodies import as_json
from sampan.apiserver.catalog import Served
from sampan.apiserver.deleter import RETURNED
from sampan.apiserver.handlers.base import Api, Body, form_of, object_answer, render
from sampan.apiserver.handlers.list import listing_of
from sampan.apiserver.options import delete_options, list_options
from sampan.apiserver.registry import Write
from sampan.apiserver.request import RequestInfo
from sampan.apiserver.response import Response, success


async def delete(api: Api, info: RequestInfo, served: Served, body: Body) -> Response:
    """A Status once it is gone; the object while it stays, and for some kinds always."""
    form = form_of(info)
    options = delete_options(info, as_json(await body(), info.headers.get("content-type", ""), "DeleteOptions"))
    write = Write(user=info.user, dry_run=bool(options.dryRun), options=codec.to_builtins(options), warnings=info.warnings)
    namespace = info.namespace if served.resource.namespaced else ""
    done = await api.deleter.delete(served, namespace, info.name, options, write)
    resource = served.resource
    if done.gone and resource.group_resource not in RETURNED:
        answer = render(success(info.name, resource.group, resource.plural, done.uid), form)
        answer.result = done.object
        return answer
    code = 202 if not done.gone and options.orphanDependents is False else 200
    return object_answer(api, info, served, done.object, done.body, code=code, form=form)


async def deletecollection(api: Api, info: RequestInfo, served: Served, body: Body) -> Response:
    """Delete what a list with these selectors shows; answers with that list."""
    form = form_of(info)
    options = delete_options(info, as_json(await body(), info.headers.get("content-type", ""), "DeleteOptions"))
    listing = list_options(info)
    write = Write(user=info.user, dry_run=bool(options.dryRun), options=codec.to_builtins(options), warnings=info.warnings)
    found = await listing_of(api, info, served, listing)
    items = []
    for entry in found.entries:
        try:
            await api.deleter.delete(served, entry.namespace, entry.name, options, write)
        except NotFound:
            continue  # somebody else was faster
        item = codec.loads(codec.encode(served.outward(entry.object)) if served.outward else entry.body)
        if served.custom is None:
            item.pop("kind", None)
            item.pop("apiVersion", None)
        items.append(item)
    resource = served.resource
    return render({"kind": f"{resource.kind}List", "apiVersion": resource.group_version,
                   "metadata": {"resourceVersion": str(found.revision)}, "items": items}, form)
