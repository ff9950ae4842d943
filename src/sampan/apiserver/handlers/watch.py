"""Watches: frames that all watchers share, until the timeout, the client or the history ends them.

Source: `k8s.io/apiserver/pkg/endpoints/handlers/{get,watch}.go`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from sampan.aio.clock import AsyncClock
from sampan.aio.tasks import Tasks
from sampan.api import codec
from sampan.api.errors import NotAcceptable
from sampan.apiserver.catalog import Served
from sampan.apiserver.handlers.base import Api, Body, form_of, partial_json, table_of
from sampan.apiserver.handlers.selecting import selection
from sampan.apiserver.negotiation import Form
from sampan.apiserver.options import list_options
from sampan.apiserver.protobodies import WATCH
from sampan.apiserver.protobodies import rendering as protobuf_rendering
from sampan.apiserver.request import RequestInfo
from sampan.apiserver.response import JSON, Response, Stream
from sampan.apiserver.table import included
from sampan.apiserver.watchcache import Entry, Rendering, Watcher, WatchQuery

SHORTEST_SECONDS = 1800.0
"""How long a watch lasts that names no timeout: this, up to twice (upstream's --min-request-timeout)."""


async def watch(api: Api, info: RequestInfo, served: Served, body: Body) -> Response:
    """A stream of events."""
    del body
    form = form_of(info)
    if form.yaml:
        raise NotAcceptable("only the following media types are accepted: application/json;stream=watch, "
                            "application/vnd.kubernetes.protobuf;stream=watch")
    if form.shape == "PartialObjectMetadataList":
        raise NotAcceptable("you requested PartialObjectMetadataList, but the requested object is not a list "
                            f"(*{served.resource.group or 'core'}.{served.resource.kind})")
    options = list_options(info, watch=True)
    await api.registry.current(served)
    query = WatchQuery(selection(served, info.namespace, options, name=info.name), options.revision, options.bookmarks,
                       options.initial_events, rendering(api, info, served, form))
    watcher: Watcher = await api.caches.of(served.stored).watch(query)
    watcher.when_begun, info.begun = info.begun, None
    seconds = float(options.timeout_seconds or 0)
    if seconds <= 0:
        seconds = SHORTEST_SECONDS * (1 + api.registry.identity.chance.random())
    clock: AsyncClock = api.clock  # type: ignore[assignment]
    content_type = WATCH if form.protobuf else JSON
    return Stream(200, _frames(watcher, clock, seconds), content_type, events=_events(watcher, clock, seconds, served),
                  ended=watcher.close)


async def _frames(watcher: Watcher, clock: AsyncClock, seconds: float) -> AsyncIterator[bytes]:
    async with Tasks() as tasks:
        tasks.start(_end(watcher, clock, seconds), "watch timeout", keep_going=True)
        try:
            while chunk := await watcher.frames():
                yield chunk
        finally:
            watcher.close()


async def _events(watcher: Watcher, clock: AsyncClock, seconds: float, served: Served) -> AsyncIterator[Any]:
    """Batches of (type, object, revision) for callers in this process."""
    outward = served.outward
    async with Tasks() as tasks:
        tasks.start(_end(watcher, clock, seconds), "watch timeout", keep_going=True)
        try:
            while batch := await watcher.events():
                yield [(kind, entry.object if outward is None else outward(entry.object), entry.revision) for kind, entry in batch]
        finally:
            watcher.close()


async def _end(watcher: Watcher, clock: AsyncClock, seconds: float) -> None:
    await clock.sleep(seconds)
    watcher.close()


def rendering(api: Api, info: RequestInfo, served: Served, form: Form) -> Rendering | None:
    """How this watcher wants objects, where it is not as they are stored."""
    if form.protobuf:
        return protobuf_rendering(served, form)
    outward = served.outward
    if form.shape == "Table":
        include = included(info.query)

        def row(entry: Entry, *, columns: bool = False) -> bytes:
            obj = entry.object if outward is None else outward(entry.object)
            return codec.encode(table_of(api, info, served, [obj], form, revision=str(entry.revision), columns=columns))

        return Rendering(f"table/{form.version}/{include}/{served.resource.version}", row,
                         lambda entry: row(entry, columns=True))
    if form.shape:
        return Rendering(f"partial/{form.version}", lambda entry: partial_json(entry.body, form))
    if outward is not None:
        convert = outward
        return Rendering(f"version/{served.resource.group_version}", lambda entry: codec.encode(convert(entry.object)))
    return None
