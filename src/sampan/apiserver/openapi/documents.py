"""The documents at /openapi/v3 and /openapi/v2, made on first use and kept as bytes.

Owns assembly, hashes and caching. `answer` is pure and may run in a thread: the whole of v2 takes some tenths of a second.
Source: kube-openapi `pkg/handler3`, `pkg/handler`, `pkg/builder3/util`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, NamedTuple

from sampan.api import codec, schema
from sampan.api.errors import NotAcceptable
from sampan.api.resourceinfo import Subresource
from sampan.apiserver.catalog import Catalog, Served
from sampan.apiserver.openapi import paths, schemas, v2
from sampan.apiserver.openapi.schemas import META, Descriptions

JSON = "application/json"
TEXT = "text/plain; charset=utf-8"
_COMMON = tuple(f"{META}.{name}" for name in ("DeleteOptions", "Patch", "Status", "WatchEvent", "ObjectMeta", "ListMeta"))
_SECURITY = {"BearerToken": {"type": "apiKey", "description": "Bearer Token authentication", "name": "authorization", "in": "header"}}


class Page(NamedTuple):
    """One document: `code` is 304 where the client has it already, 301 where `body` is the right address."""

    content_type: str
    body: bytes
    etag: str = ""
    code: int = 200


class Documents:
    """Answers OpenAPI's paths from the catalog."""

    def __init__(self, catalog: Catalog, version: str, descriptions: Descriptions | None = None) -> None:
        """`version` is the server's; `descriptions` come from wherever there are some."""
        self._catalog, self._version, self._texts = catalog, version, descriptions or {}
        self._generation = -1
        self._groups: dict[str, list[Served]] = {}
        self._hashes: dict[str, str] = {}
        self._pages: dict[str, tuple[str, Page]] = {}

    def answer(self, path: str, accept: str = "", if_none_match: str = "", *, hash: str = "") -> Page | None:
        """The document at a path, None where there is none.

        `hash` is the query's; one that is not the document's any more gives a page with code 301 whose body is the
        right address.

        Raises:
            NotAcceptable: The client takes no JSON.
        """
        self._refresh()
        path = path.rstrip("/")
        if path == "/openapi/v2":
            return self._checked("v2", accept, if_none_match)
        if path == "/openapi/v3":
            return Page(TEXT, codec.encode({"paths": {key: {"serverRelativeURL": self._url(key)} for key in self._groups}}))
        key = path.removeprefix("/openapi/v3/")
        if key not in self._groups or key == path:
            return None
        if hash and hash != self._hashes[key]:
            return Page(TEXT, self._url(key).encode(), code=301)
        return self._checked(key, accept, if_none_match)

    def _url(self, key: str) -> str:
        return f"/openapi/v3/{key}?hash={self._hashes[key]}"

    def _checked(self, key: str, accept: str, if_none_match: str) -> Page:
        kinds = {clause.split(";")[0].strip() for clause in accept.split(",")}
        if accept and not kinds & {JSON, "application/*", "*/*", ""}:
            raise NotAcceptable(f"only the following media types are accepted: {JSON}")
        page = self._page(key)
        if page.etag in (tag.strip() for tag in if_none_match.split(",")):
            return page._replace(code=304, body=b"")
        return page

    def _page(self, key: str) -> Page:
        digest = self._hashes[key]
        known = self._pages.get(key)
        if known is None or known[0] != digest:
            value = self._everything() if key == "v2" else self._document(key)
            known = self._pages[key] = (digest, Page(JSON, codec.encode(value), f'"{digest}"'))
        return known[1]

    def _refresh(self) -> None:
        if self._generation == self._catalog.generation:
            return
        self._generation = self._catalog.generation
        self._groups = {}
        for served in self._catalog:
            self._groups.setdefault(served.resource.root.lstrip("/"), []).append(served)
        self._hashes = {key: _digest(self._version, key, *map(_fingerprint, some)) for key, some in self._groups.items()}
        self._hashes["v2"] = _digest(*self._hashes.values())
        self._pages = {key: known for key, known in self._pages.items() if self._hashes.get(key) == known[0]}

    def _document(self, key: str) -> dict[str, Any]:
        found = self._parts(self._groups[key])
        return {"openapi": "3.0.0", "info": {"title": "Kubernetes", "version": self._version}, "paths": found[0],
                "components": {"schemas": found[1], "securitySchemes": _SECURITY}}

    def _parts(self, some: list[Served]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Path items and schemas of some resources."""
        items: dict[str, Any] = {}
        types = set(_COMMON)
        custom: dict[str, Any] = {}
        for served in some:
            if served.custom is not None:
                custom |= _custom_schemas(served)
                types |= {f"{META}.ObjectMeta", f"{META}.ListMeta"}
            items |= self._items(served, types)
        built_in = {schemas.name_of(name): schemas.of_type(name, self._texts) for name in schemas.closure(types)}
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

    def _everything(self) -> dict[str, Any]:
        items: dict[str, Any] = {}
        definitions: dict[str, Any] = {}
        for some in self._groups.values():
            found = self._parts(some)
            items |= found[0]
            definitions |= found[1]
        return v2.document(self._version, items, definitions)


def _custom_schemas(served: Served) -> dict[str, Any]:
    resource, custom = served.resource, served.custom
    group, version, kind = resource.group, resource.version, resource.kind
    return {schemas.custom_name(group, version, kind): schemas.of_custom(group, version, kind, custom.schema),
            schemas.custom_name(group, version, custom.list_kind): schemas.list_of_custom(group, version, kind, custom.list_kind)}


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
