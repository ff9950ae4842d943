"""DELETE of one object and of a collection."""

from __future__ import annotations

from sampan.aio.each import each
from sampan.api import codec
from sampan.api.errors import NotFound
from sampan.apiserver.bodies import read as read_body
from sampan.apiserver.catalog import Served
from sampan.apiserver.deleter import RETURNED
from sampan.apiserver.handlers.base import Api, Body, form_of, object_answer, render
from sampan.apiserver.handlers.list import answer, listing_of
from sampan.apiserver.options import delete_options, list_options
from sampan.apiserver.registry import Write
from sampan.apiserver.request import RequestInfo
from sampan.apiserver.response import Response, success
from sampan.apiserver.watchcache import Entry, Listing

DELETIONS_AT_ONCE = 64


async def delete(api: Api, info: RequestInfo, served: Served, body: Body) -> Response:
    """A Status once it is gone; the object while it stays, and for some kinds always."""
    form = form_of(info)
    options = delete_options(info, await read_body(body, info.headers.get("content-type", ""), "DeleteOptions"))
    write = Write(user=info.user, dry_run=bool(options.dryRun), options=codec.to_builtins(options), warnings=info.warnings,
                  audit_annotations=info.audit_annotations)
    namespace = info.namespace if served.resource.namespaced else ""
    _warn(served, write)
    done = await api.deleter.delete(served, namespace, info.name, options, write)
    resource = served.resource
    if done.gone and resource.group_resource not in RETURNED:
        told = render(success(info.name, resource.group, resource.plural, done.uid), form)
        told.result = done.object
        return told
    code = 202 if not done.gone and options.orphanDependents is False else 200
    return object_answer(api, info, served, done.object, done.body, code=code, form=form)


def _warn(served: Served, write: Write) -> None:
    asked = write.options
    if served.kind.delete_warning and asked.get("propagationPolicy") is None and asked.get("orphanDependents") is None:
        write.warnings.append(served.kind.delete_warning)


async def deletecollection(api: Api, info: RequestInfo, served: Served, body: Body) -> Response:
    """Delete what a list with these selectors shows; answers with that list."""
    form = form_of(info)
    options = delete_options(info, await read_body(body, info.headers.get("content-type", ""), "DeleteOptions"))
    listing = list_options(info)
    write = Write(user=info.user, dry_run=bool(options.dryRun), options=codec.to_builtins(options), warnings=info.warnings,
                  audit_annotations=info.audit_annotations)
    _warn(served, write)
    found = await listing_of(api, info, served, listing)
    gone: set[str] = set()

    async def remove(entry: Entry) -> None:
        try:
            await api.deleter.delete(served, entry.namespace, entry.name, options, write)
        except NotFound:
            gone.add(entry.key)  # somebody else was faster

    # side by side, so that they share the store's flushes
    await each(found.entries, remove, DELETIONS_AT_ONCE)
    return await answer(api, info, served, Listing([entry for entry in found.entries if entry.key not in gone], found.revision), form)
