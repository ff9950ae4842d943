"""Objects, lists and watches as protobuf, from the cache's entries.

Owns which bytes those are. Entries keep their message once it was asked for a second time, so that many Go clients
cost one encoding. Leaves the encoding to `sampan.api.protobuf`, and falls back to nothing: negotiation only chooses
protobuf where there is a message.
"""

from __future__ import annotations

from typing import Any

from sampan.api import codec, protobuf, strict
from sampan.api.errors import BadRequest
from sampan.api.meta.v1 import ListMeta, ObjectMeta
from sampan.api.protowire import Malformed
from sampan.apiserver import metadata
from sampan.apiserver.catalog import Served
from sampan.apiserver.entries import Entry
from sampan.apiserver.listing import Listing
from sampan.apiserver.negotiation import Form
from sampan.apiserver.response import Answer, ListResult
from sampan.apiserver.selection import Rendering

OBJECT = protobuf.CONTENT_TYPE.encode()
WATCH = OBJECT + b";stream=watch"


def object_body(served: Served, obj: Any) -> bytes:
    """An object as a body."""
    resource = served.resource
    version, kind = resource.group_version, resource.kind
    return protobuf.envelope(version, kind, protobuf.message(version, kind, obj))


def message(served: Served, entry: Entry, form: Form) -> bytes:
    """An entry's bare message in the version and shape that was asked for."""
    if form.shape:
        meta = metadata.meta_of(entry.object)
        return protobuf.partial(form.version, meta if isinstance(meta, ObjectMeta) else codec.convert(ObjectMeta, meta))
    if served.outward is not None:
        return protobuf.message(served.resource.group_version, served.resource.kind, served.outward(entry.object))
    return entry.message


def _type(served: Served, form: Form) -> tuple[str, str]:
    if form.shape:
        return f"meta.k8s.io/{form.version}", "PartialObjectMetadata"
    return served.resource.group_version, served.resource.kind


def entry_body(served: Served, entry: Entry, form: Form) -> bytes:
    """An entry as a body."""
    return protobuf.envelope(*_type(served, form), message(served, entry, form))


def list_answer(served: Served, listing: Listing, form: Form, items: list[bytes]) -> Answer:
    """A listing; `items` are the messages of its entries."""
    version, kind = _type(served, form)
    meta = ListMeta(resourceVersion=str(listing.revision), continue_=listing.continue_)
    if listing.continue_ and listing.remaining is not None:
        meta.remainingItemCount = listing.remaining
    pieces = list(protobuf.encode_list(version, f"{kind}List", meta, items))
    return Answer(200, pieces, OBJECT, result=ListResult(listing.entries, str(listing.revision), listing.continue_))


def rendering(served: Served, form: Form) -> Rendering:
    """How a watcher gets its events."""
    key = f"protobuf/{form.shape}/{form.version}/{served.resource.group_version}"
    return Rendering(key, lambda entry: entry_body(served, entry, form), frame=_frame)


def _frame(kind: str, body: bytes) -> bytes:
    if not body.startswith(protobuf.PREFIX):
        # the Status that ends a watch comes as JSON
        body = protobuf.encode_value(codec.loads(body)) or body
    return protobuf.watch_event(kind, body)


def to_json(body: bytes, kind: str) -> bytes:
    """A request's body as JSON; of a kind that nobody knows only its name is left, for others to complain about.

    Args:
        body: With its envelope.
        kind: What the request is about, for messages.

    Raises:
        BadRequest: It is broken, in upstream's words.
    """
    try:
        unknown = protobuf.open_envelope(body)
    except Malformed as error:
        raise strict.unrecognized(kind, body, str(error)) from None
    try:
        return codec.encode(protobuf.decode(unknown))
    except KeyError:
        return codec.encode({"kind": unknown.kind, "apiVersion": unknown.api_version})
    except Malformed as error:
        version = unknown.api_version.rpartition("/")[2]
        raise BadRequest(f'{unknown.kind} in version "{version}" cannot be handled as a {kind}: {error}') from None
