"""What every handler is given, and how objects leave.

Owns `Api` (the parts of the server that handlers use), `Body` and rendering objects in the form that was asked for.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from sampan.api import codec, protobuf
from sampan.api.errors import MethodNotAllowed, NotAcceptable, NotFound
from sampan.apiserver import protobodies
from sampan.apiserver.auth.base import Authorizer
from sampan.apiserver.catalog import Catalog, Served
from sampan.apiserver.deleter import Deleter
from sampan.apiserver.negotiation import PLAIN, Form, Where, accepted
from sampan.apiserver.options import WriteOptions, first
from sampan.apiserver.registry import Registry, Write
from sampan.apiserver.request import RequestInfo
from sampan.apiserver.response import YAML, Answer, Headers
from sampan.apiserver.table import Tables
from sampan.lib.clock import Clock
from sampan.store.base import Store

Body = Callable[[], Awaitable[bytes]]


@dataclass
class Api:
    """The parts of the server."""

    catalog: Catalog
    registry: Registry
    deleter: Deleter
    store: Store
    caches: Any
    clock: Clock
    authorizer: Authorizer
    parts: dict[str, Any] = field(default_factory=dict)
    """Optional parts by name: `issuer` (tokens), `nodes` (connections to node agents), `fields` (server-side apply), `freshness` (the store has other writers)."""

    def __post_init__(self) -> None:
        self.tables = Tables(self.clock)


def form_of(info: RequestInfo) -> Form:
    """The form that the client asks for."""
    accept = info.headers.get("accept", "")
    if not info.query and accept in ("", "*/*", "application/json"):
        return PLAIN
    where: Where = "collection" if info.verb in ("list", "watch") and not info.name else "route"
    return accepted(accept, first(info.query, "pretty"), custom=info.custom, where=where)


def write_of(info: RequestInfo, options: WriteOptions) -> Write:
    """Who writes, from the request."""
    return Write(user=info.user, subresource=info.subresource, dry_run=options.dry_run, manager=options.manager,
                 options=options.wire, warnings=info.warnings, audit_annotations=info.audit_annotations)


def needs_verb(served: Served, verb: str, info: RequestInfo) -> None:
    """Refuse a verb that the resource does not have.

    Raises:
        MethodNotAllowed: As upstream.
        NotFound: There is no such subresource.
    """
    if info.subresource:
        for sub in served.resource.subresources:
            if sub.name == info.subresource:
                if verb not in sub.verbs:
                    raise not_allowed()
                return
        raise no_such_path()
    if verb not in served.resource.verbs:
        raise not_allowed()


def check_shape(info: RequestInfo, served: Served) -> None:
    """Objects are made in collections and changed by name; collections across namespaces are only read.

    Raises:
        MethodNotAllowed: The path has a form that the verb does not go with.
    """
    if info.verb == "create":
        wrong = bool(info.name) or (served.resource.namespaced and not info.namespace)
    elif info.verb in ("update", "patch"):
        wrong = not info.name
    else:
        wrong = info.verb == "deletecollection" and served.resource.namespaced and not info.namespace
    if wrong:
        raise not_allowed()


def not_allowed() -> MethodNotAllowed:
    return MethodNotAllowed("the server does not allow this method on the requested resource", details={})


def no_such_path() -> NotFound:
    return NotFound("the server could not find the requested resource", details={})


def object_answer(api: Api, info: RequestInfo, served: Served, obj: Any, body: bytes, *, code: int = 200,
                  form: Form = PLAIN) -> Answer:
    """One object in the form that was asked for; `body` is its JSON."""
    if form.plain:
        return Answer(code, body, result=obj)
    if form.shape == "Table":
        return render(table_of(api, info, served, [obj], form, revision=_revision(obj)), form, code)
    if form.shape == "PartialObjectMetadataList":
        raise NotAcceptable(f"you requested PartialObjectMetadataList, but the requested object is not a list ({go_name(served)})")
    if form.shape:
        return render(partial(body, form), form, code)
    if form.protobuf:
        return Answer(code, protobodies.object_body(served, obj), protobodies.OBJECT, result=obj)
    return render(codec.loads(body), form, code)


def go_name(served: Served, *, many: bool = False) -> str:
    """What upstream's messages call the type."""
    if served.custom is not None:
        return "*unstructured.UnstructuredList" if many else "*unstructured.Unstructured"
    group = served.resource.group.split(".")[0] or "core"
    return f"*{group}.{served.resource.kind}{'List' if many else ''}"


def _revision(obj: Any) -> str:
    return str(obj["metadata"].get("resourceVersion", "") if isinstance(obj, dict) else obj.metadata.resourceVersion)


def partial(body: bytes, form: Form) -> dict[str, Any]:
    """PartialObjectMetadata of an object's JSON."""
    found: dict[str, Any] = codec.loads(partial_json(body, form))
    return found


class _Metadata(msgspec.Struct, gc=False):
    metadata: msgspec.Raw = msgspec.Raw(b"{}")


_metadata = msgspec.json.Decoder(_Metadata)


def partial_json(body: bytes, form: Form) -> bytes:
    """The JSON of PartialObjectMetadata, cut out of an object's JSON."""
    return b'{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/%b","metadata":%b}' % (form.version.encode(), bytes(_metadata.decode(body).metadata))


def table_of(  # noqa: PLR0913 - what a Table says
    api: Api, info: RequestInfo, served: Served, objects: list[Any], form: Form, *, revision: str,
    continue_: str = "", remaining: int | None = None, columns: bool = True,
) -> dict[str, Any]:
    """The Table of some objects."""
    return api.tables.table(served, objects, query=info.query, version=form.version, revision=revision, continue_=continue_,
                            remaining=remaining, columns=columns)


def render(value: Any, form: Form, code: int = 200, *, headers: Headers | None = None) -> Answer:
    """Any value as JSON (indented when asked for), YAML, or protobuf where it has a message."""
    if form.protobuf and (message := protobuf.encode_value(value)) is not None:
        return Answer(code, message, protobodies.OBJECT, headers or [], value)
    if form.yaml:
        return Answer(code, to_yaml(codec.to_builtins(value)), YAML, headers or [], value)
    body = codec.encode(value)
    if form.pretty:
        body = msgspec.json.format(body, indent=2) + b"\n"
    return Answer(code, body, headers=headers or [], result=value)


def to_yaml(value: Any) -> bytes:
    """YAML as upstream writes it: keys sorted, block style."""
    import yaml

    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    return yaml.dump(value, Dumper=dumper, sort_keys=True, default_flow_style=False, allow_unicode=True).encode()


