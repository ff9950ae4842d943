"""GET of a collection: the cache's bytes joined, in the form that was asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import msgspec

from sampan.api import codec
from sampan.api.errors import NotAcceptable, Timeout
from sampan.apiserver.catalog import Served
from sampan.apiserver.entries import Entry
from sampan.apiserver.handlers.base import Api, Body, form_of, go_name, partial, partial_json, render, table_of, to_yaml
from sampan.apiserver.handlers.selecting import selection
from sampan.apiserver.negotiation import Form
from sampan.apiserver.options import ListOptions, list_options
from sampan.apiserver.protobodies import list_answer, message
from sampan.apiserver.request import RequestInfo
from sampan.apiserver.response import YAML, Answer, ListResult, Pieces, Response
from sampan.apiserver.watchcache import Listing, ListQuery

T = TypeVar("T")
M = TypeVar("M")

AT_ONCE = 50
"""Objects that are worked on in one turn of the event loop: about ten milliseconds."""


async def list_(api: Api, info: RequestInfo, served: Served, body: Body) -> Response:
    """The list."""
    del body
    form = form_of(info)
    return await answer(api, info, served, await listing_of(api, info, served, list_options(info)), form)


async def listing_of(api: Api, info: RequestInfo, served: Served, options: ListOptions) -> Listing:
    """What the options ask for."""
    await api.registry.current(served)
    query = ListQuery(selection(served, info.namespace, options), options.limit, options.continue_, options.revision, options.match)
    listing: Listing = await api.caches.of(served.stored).list(query)
    return listing


async def answer(api: Api, info: RequestInfo, served: Served, listing: Listing, form: Form) -> Answer:
    """A listing in the form that was asked for; what needs work for every object gives way to others now and then."""
    if form.shape == "PartialObjectMetadata":
        raise NotAcceptable(f"you requested PartialObjectMetadata, but the requested object is a list ({go_name(served, many=True)})")
    if form.shape == "Table":
        return await _table(api, info, served, listing, form)
    if form.protobuf:
        return list_answer(served, listing, form, await in_turns(listing.entries, lambda entry: message(served, entry, form)))
    if form.shape:
        return await _partial(listing, form)
    kind = served.custom.list_kind if served.custom is not None else f"{served.resource.kind}List"
    if served.outward is not None:
        return await _converted(served, listing, form, kind)
    if form.plain:
        pieces = Pieces(lambda: listing.chunks(served.resource, kind=kind))
        return Answer(200, list(pieces) if len(listing.entries) <= AT_ONCE else pieces,
                      result=ListResult(listing.entries, str(listing.revision), listing.continue_))
    custom = served.custom is not None
    head = {"kind": kind, "apiVersion": served.resource.group_version, "metadata": listing.meta(custom=custom)}
    if form.yaml:
        return await _yaml(head, [entry.body for entry in listing.entries], typed=custom)
    items = await in_turns(listing.entries, lambda entry: _item(entry.body, typed=custom))
    return render({**head, "items": items}, form)


async def in_turns(values: Sequence[T], make: Callable[[T], M], at_once: int = AT_ONCE) -> list[M]:
    """Make something of each value, so many in one turn of the event loop."""
    made: list[M] = []
    for start in range(0, len(values), at_once):
        if start:
            await asyncio.sleep(0)
        made += [make(value) for value in values[start:start + at_once]]
    return made


async def _table(api: Api, info: RequestInfo, served: Served, listing: Listing, form: Form) -> Answer:
    def rows(entry: Entry) -> Any:
        obj = entry.peek() if served.outward is None else served.outward(entry.peek())
        found = table_of(api, info, served, [obj], form, revision="", columns=False)["rows"][0]
        # encoded in its turn, where JSON is what is wanted
        return msgspec.Raw(codec.encode(found)) if not form.yaml else found

    whole = table_of(api, info, served, [], form, revision=str(listing.revision), continue_=listing.continue_, remaining=listing.remaining)
    whole["rows"] = await in_turns(listing.entries, rows)
    return render(whole, form)


async def _partial(listing: Listing, form: Form) -> Answer:
    head = {"kind": "PartialObjectMetadataList", "apiVersion": f"meta.k8s.io/{form.version}", "metadata": listing.meta()}
    if form.yaml:
        items = await in_turns(listing.entries, lambda entry: partial(entry.body, form))
        return render({**head, "items": items or None}, form)
    raw = await in_turns(listing.entries, lambda entry: msgspec.Raw(partial_json(entry.body, form)), AT_ONCE * 10)
    return render({**head, "items": raw or None}, form)


async def _converted(served: Served, listing: Listing, form: Form, kind: str) -> Answer:
    convert = served.outward
    assert convert is not None
    custom = served.custom is not None
    objects = await in_turns(listing.entries, lambda entry: convert(entry.object))
    items = objects if custom else await in_turns(objects, untyped)
    result = render({"kind": kind, "apiVersion": served.resource.group_version, "metadata": listing.meta(custom=custom), "items": items}, form)
    result.result = ListResult(objects, str(listing.revision), listing.continue_)
    return result


async def _yaml(head: dict[str, Any], bodies: Sequence[bytes], *, typed: bool) -> Answer:
    """Keys in their order, items one by one: YAML takes milliseconds for each."""
    items = await in_turns(bodies, lambda body: to_yaml([_item(body, typed=typed)]), 2)
    first = to_yaml({"apiVersion": head.pop("apiVersion")}) + (b"items:\n" if items else b"items: []\n")
    return Answer(200, [first, *items, to_yaml(head)], YAML)


def _item(body: bytes, *, typed: bool) -> dict[str, Any]:
    value: dict[str, Any] = codec.loads(body)
    if not typed:
        value.pop("kind", None)
        value.pop("apiVersion", None)
    return value


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
