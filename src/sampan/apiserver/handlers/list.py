"""GET of a collection: the cache's bytes joined, in the form that was asked for."""

from __future__ import annotations

from typing import Any

from sampan.api import codec
from sampan.api.errors import NotAcceptable, Timeout
from sampan.apiserver.catalog import Served
from sampan.apiserver.handlers.base import Api, Body, form_of, go_name, partial, render, table_of
from sampan.apiserver.handlers.selecting import selection
from sampan.apiserver.negotiation import Form
from sampan.apiserver.options import ListOptions, list_options
from sampan.apiserver.protobodies import list_answer
from sampan.apiserver.request import RequestInfo
from sampan.apiserver.response import Answer, ListResult, Response
from sampan.apiserver.watchcache import Listing, ListQuery


async def list_(api: Api, info: RequestInfo, served: Served, body: Body) -> Response:
    """The list."""
    del body
    form = form_of(info)
    return answer(api, info, served, await listing_of(api, info, served, list_options(info)), form)


async def listing_of(api: Api, info: RequestInfo, served: Served, options: ListOptions) -> Listing:
    """What the options ask for."""
    query = ListQuery(selection(served, info.namespace, options), options.limit, options.continue_, options.revision, options.match)
    listing: Listing = await api.caches.of(served.stored).list(query)
    return listing


def answer(api: Api, info: RequestInfo, served: Served, listing: Listing, form: Form) -> Answer:
    """A listing in the form that was asked for."""
    resource = served.resource
    if form.shape == "PartialObjectMetadata":
        raise NotAcceptable(f"you requested PartialObjectMetadata, but the requested object is a list ({go_name(served, many=True)})")
    if form.shape == "Table":
        objects = [entry.object if served.outward is None else served.outward(entry.object) for entry in listing.entries]
        return render(table_of(api, info, served, objects, form, revision=str(listing.revision), continue_=listing.continue_,
                               remaining=listing.remaining), form)
    if form.protobuf:
        return list_answer(served, listing, form)
    if form.shape:
        items = [partial(entry.body, form) for entry in listing.entries]
        return render({"kind": "PartialObjectMetadataList", "apiVersion": f"meta.k8s.io/{form.version}",
                       "metadata": listing.meta(), "items": items or None}, form)
    kind = served.custom.list_kind if served.custom is not None else f"{resource.kind}List"
    if served.outward is None:
        pieces = list(listing.chunks(resource, kind=kind))
        if form.plain:
            return Answer(200, pieces, result=ListResult(listing.entries, str(listing.revision), listing.continue_))
        return render(codec.loads(b"".join(pieces)), form)
    objects = [served.outward(entry.object) for entry in listing.entries]
    custom = served.custom is not None
    value = {"kind": kind, "apiVersion": resource.group_version, "metadata": listing.meta(custom=custom),
             "items": objects if custom else [untyped(obj) for obj in objects]}
    result = render(value, form)
    result.result = ListResult(objects, str(listing.revision), listing.continue_)
    return result


def untyped(obj: Any) -> Any:
    """An item of a built-in list: without kind and apiVersion."""
    value = codec.to_builtins(obj)
    value.pop("kind", None)
    value.pop("apiVersion", None)
    return value


def check_not_newer(api: Api, served: Served, revision: int) -> None:
    """A revision that has not been given yet can't be waited for here.

    Raises:
        Timeout: In upstream's words.
    """
    current = api.caches.of(served.stored).revision
    if revision > current:
        raise Timeout(
            f"Timeout: Too large resource version: {revision}, current: {current}",
            details={"causes": [{"message": "Too large resource version", "reason": "ResourceVersionTooLarge"}], "retryAfterSeconds": 1})
