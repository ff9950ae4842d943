"""The documents at /openapi/v3 and /openapi/v2, made on first use and kept as bytes.

Owns assembly, hashes, caching and negotiation. A version of a group takes some milliseconds; the whole of v2 some tenths
of a second, so it is made in a thread while the server goes on.
Source: kube-openapi `pkg/handler3`, `pkg/handler`, `pkg/builder3/util`.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from sampan.api import codec, schema
from sampan.api.errors import NotAcceptable
from sampan.api.resourceinfo import Subresource
from sampan.apiserver.catalog import Catalog, Served
from sampan.apiserver.openapi import merge, paths, protov2, schemas, v2
from sampan.apiserver.openapi.schemas import META, Descriptions
from sampan.apiserver.options import first
from sampan.apiserver.request import RequestInfo
from sampan.apiserver.response import TEXT, Answer

_JSON_KINDS = frozenset(("application/json", "application/*", "*/*", ""))
PROTOBUF = b"application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
_PROTOBUF_KINDS = frozenset((PROTOBUF.decode(), "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"))
_COMMON = tuple(f"{META}.{name}" for name in ("DeleteOptions", "Patch", "Status", "WatchEvent", "ObjectMeta", "ListMeta"))
_SECURITY = {"BearerToken": {"type": "apiKey", "description": "Bearer Token authentication", "name": "authorization", "in": "header"}}


Part = tuple[dict[str, Any], dict[str, Any]]


class Others(Protocol):
    """What API servers behind this one tell."""

    @property
    def generation(self) -> Any: ...

    def openapi(self) -> Mapping[str, tuple[Any, Any]]:
        """Who has the document at a key below /openapi/v3, and what he told (`openapi` is its address there)."""
        ...

    async def document(self, remote: Any, location: str) -> bytes:
        """One of his documents; empty where it can't be had."""
        ...


class Documents:
    """Answers OpenAPI's paths from the catalog."""

    def __init__(self, catalog: Catalog, version: str, descriptions: Callable[[], Descriptions] = dict,
                 others: Others | None = None) -> None:
        """`version` is the server's; `descriptions` is called for every document that is made."""
        self._catalog, self._version, self._texts, self._others = catalog, version, descriptions, others
        self._generation: Any = None
        self._foreign: Mapping[str, tuple[Any, Any]] = {}
        self._groups: dict[str, list[Served]] = {}
        self._hashes: dict[str, str] = {}
        self._pages: dict[str, tuple[str, bytes]] = {}
        self._protobuf: tuple[str, bytes] = ("", b"")

    async def answer(self, info: RequestInfo) -> Answer:
        """The document at the request's path; an empty 404 where there is none.

        A `hash` in the query that is not the document's any more leads to the right address.

        Raises:
            NotAcceptable: The client takes nothing that there is.
        """
        self._refresh()
        path = info.path.rstrip("/")
        if path == "/openapi/v3":
            keys = [key for key in self._hashes if key != "v2"]
            index = {"paths": {key: {"serverRelativeURL": self._url(key)} for key in keys}}
            return Answer(200, codec.encode(index), TEXT)
        key = "v2" if path == "/openapi/v2" else path.removeprefix("/openapi/v3/")
        if key not in self._hashes or path != ("/openapi/v2" if key == "v2" else f"/openapi/v3/{key}"):
            return Answer(404, b"", b"")
        asked = first(info.query, "hash")
        if asked and asked != self._hashes[key] and key != "v2" and key not in self._foreign:
            return Answer(301, b"", b"", [(b"location", self._url(key).encode())])
        protobuf = _wants_protobuf(info.headers.get("accept", ""), there_is=key == "v2")
        tag = f'"{self._hashes[key]}"'
        headers = [(b"etag", tag.encode()), (b"vary", b"Accept")]
        if tag in (one.strip() for one in info.headers.get("if-none-match", "").split(",")):
            return Answer(304, b"", b"", headers)
        if protobuf:
            return Answer(200, await self._v2_protobuf(), PROTOBUF, headers)
        body = await self._body(key)
        return Answer(200, body, headers=headers) if body else Answer(503, b"", b"")

    def _url(self, key: str) -> str:
        if key in self._foreign:
            return str(self._foreign[key][1].openapi)
        return f"/openapi/v3/{key}?hash={self._hashes[key]}"

    async def _body(self, key: str) -> bytes:
        digest = self._hashes[key]
        known = self._pages.get(key)
        if known is None or known[0] != digest:
            if key == "v2":
                groups = [some for name, some in self._groups.items() if name not in self._foreign]
                more = await self._theirs()
                body = await asyncio.to_thread(lambda: codec.encode(self._everything(groups, more)))
            elif key in self._foreign:
                assert self._others is not None
                remote, told = self._foreign[key]
                body = await self._others.document(remote, told.openapi)
                if not body:
                    return b""
            else:
                body = codec.encode(self._document(key))
            known = self._pages[key] = (digest, body)
        return known[1]

    async def _theirs(self) -> list[Part]:
        """What other servers have at /openapi/v2 of the versions that are theirs."""
        if self._others is None:
            return []
        by_target: dict[Any, tuple[Any, list[str]]] = {}
        for remote, _ in self._foreign.values():
            by_target.setdefault(remote.target, (remote, []))[1].append(remote.path)
        found = []
        for remote, roots in by_target.values():
            body = await self._others.document(remote, "/openapi/v2")
            try:
                document = codec.loads(body) if body else {}
            except (codec.DecodeError, RecursionError):
                document = {}
            found.append(merge.part(document if isinstance(document, dict) else {}, tuple(roots)))
        return found

    async def _v2_protobuf(self) -> bytes:
        digest, body = self._hashes["v2"], await self._body("v2")
        if self._protobuf[0] != digest:
            self._protobuf = digest, await asyncio.to_thread(lambda: protov2.encode(codec.loads(body)))
        return self._protobuf[1]

    def _refresh(self) -> None:
        generation = (self._catalog.generation, self._others.generation if self._others is not None else None)
        if self._generation == generation:
            return
        self._generation = generation
        self._foreign = self._others.openapi() if self._others is not None else {}
        self._groups = {}
        for served in self._catalog:
            self._groups.setdefault(served.resource.root.lstrip("/"), []).append(served)
        self._hashes = {key: _digest(self._version, key, *map(_fingerprint, some)) for key, some in self._groups.items()}
        self._hashes |= {key: _digest(told.openapi) for key, (_, told) in self._foreign.items()}
        self._hashes["v2"] = _digest(*self._hashes.values())
        self._pages = {key: known for key, known in self._pages.items() if self._hashes.get(key) == known[0]}

    def _document(self, key: str) -> dict[str, Any]:
        found = self._parts(self._groups[key], self._texts())
        return {"openapi": "3.0.0", "info": {"title": "Kubernetes", "version": self._version}, "paths": found[0],
                "components": {"schemas": found[1], "securitySchemes": _SECURITY}}

    def _parts(self, some: list[Served], texts: Descriptions) -> tuple[dict[str, Any], dict[str, Any]]:
        """Path items and schemas of some resources."""
        items: dict[str, Any] = {}
        types = set(_COMMON)
        custom: dict[str, Any] = {}
        for served in some:
            if served.custom is not None:
                custom |= _custom_schemas(served, texts)
                types |= {f"{META}.ObjectMeta", f"{META}.ListMeta"}
            items |= self._items(served, types)
        built_in = {schemas.name_of(name): schemas.of_type(name, texts) for name in schemas.closure(types)}
        return dict(sorted(items.items())), dict(sorted((built_in | custom).items()))

    @staticmethod
    def _items(served: Served, types: set[str]) -> dict[str, Any]:
        resource = served.resource

        def named(group_version: str, kind: str) -> dict[str, Any] | None:
            group, _, version = group_version.rpartition("/")
            shape = schema.of_kind(group, version, kind)
            if shape is None:
                return None
            types.add(shape.type)
            return schemas.reference(shape.type)

        def of_subresource(sub: Subresource) -> dict[str, Any] | None:
            return None if sub.kind.endswith("Options") else named(sub.group_version, sub.kind)

        if served.custom is not None:
            own: Mapping[str, str] = {"$ref": schemas.PREFIX + schemas.custom_name(resource.group, resource.version, resource.kind)}
            many: Mapping[str, str] = {"$ref": schemas.PREFIX + schemas.custom_name(resource.group, resource.version, served.custom.list_kind)}
        else:
            own = named(resource.group_version, resource.kind) or {}
            many = named(resource.group_version, f"{resource.kind}List") or {}
        return paths.of_resource(resource, dict(own), dict(many), custom=served.custom is not None, subresource_schema=of_subresource)

    def _everything(self, groups: list[list[Served]], more: Sequence[Part] = ()) -> dict[str, Any]:
        items: dict[str, Any] = {}
        definitions: dict[str, Any] = {}
        texts = self._texts()
        for some in groups:
            found = self._parts(some, texts)
            items |= found[0]
            definitions |= found[1]
        document = v2.document(self._version, items, definitions)
        for part in more:
            merge.into(document["paths"], document["definitions"], part)
        return document


def _wants_protobuf(accept: str, *, there_is: bool) -> bool:
    """Whether protobuf is what the client takes first (v3 is JSON only).

    Raises:
        NotAcceptable: It takes neither.
    """
    for clause in accept.split(","):
        kind = clause.partition(";")[0].strip().lower()
        if kind in _JSON_KINDS:
            return False
        if there_is and kind in _PROTOBUF_KINDS:
            return True
    raise NotAcceptable("only the following media types are accepted: application/json")


def _custom_schemas(served: Served, texts: Descriptions) -> dict[str, Any]:
    resource, custom = served.resource, served.custom
    group, version, kind = resource.group, resource.version, resource.kind
    return {schemas.custom_name(group, version, kind): schemas.of_custom(group, version, kind, custom.schema, texts),
            schemas.custom_name(group, version, custom.list_kind): schemas.list_of_custom(group, version, kind, custom.list_kind, texts)}


def _fingerprint(served: Served) -> bytes:
    if served.custom is None:
        return served.resource.plural.encode()
    return codec.encode([served.resource.plural, served.resource.kind, [sub.name for sub in served.resource.subresources],
                         served.custom.list_kind, served.custom.schema])


def _digest(*parts: str | bytes) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.encode() if isinstance(part, str) else part)
        digest.update(b"\0")
    return digest.hexdigest().upper()
