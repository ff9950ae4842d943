"""The operations on a resource as OpenAPI v3 path items.

Source: apiserver `pkg/endpoints/installer.go`, `pkg/endpoints/openapi/openapi.go`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from sampan.api import schema
from sampan.api.resourceinfo import Resource, Subresource
from sampan.apiserver.openapi.schemas import META, PATCH, reference

JSON, YAML, PROTOBUF = "application/json", "application/yaml", "application/vnd.kubernetes.protobuf"
_PLAIN = (JSON, PROTOBUF, YAML)
_STREAMED = (JSON, f"{JSON};stream=watch", PROTOBUF, f"{PROTOBUF};stream=watch", YAML)
_PATCHES = ("application/apply-patch+yaml", "application/json-patch+json", "application/merge-patch+json",
            "application/strategic-merge-patch+json")
_STRATEGIC = _PATCHES[-1]
_CONNECT_METHODS = {"create": "post", "get": "get", "delete": "delete", "patch": "patch", "update": "put"}
_CONNECT_ALL = ("delete", "get", "head", "options", "patch", "post", "put")

Operation = dict[str, Any]


def _parameter(name: str, kind: str = "string", where: str = "query") -> dict[str, Any]:
    out: dict[str, Any] = {"name": name, "in": where, "schema": {"type": kind, "uniqueItems": True}}
    return {**out, "required": True} if where == "path" else out


_PRETTY = _parameter("pretty")
_LIST = [_parameter("allowWatchBookmarks", "boolean"), *(_parameter(name) for name in ("continue", "fieldSelector", "labelSelector")),
         _parameter("limit", "integer"), _parameter("resourceVersion"), _parameter("resourceVersionMatch"),
         _parameter("sendInitialEvents", "boolean"), _parameter("timeoutSeconds", "integer"), _parameter("watch", "boolean")]
_WRITE = [_parameter("dryRun"), _parameter("fieldManager"), _parameter("fieldValidation")]
_DELETE = [_parameter("dryRun"), _parameter("gracePeriodSeconds", "integer"),
           _parameter("ignoreStoreReadErrorWithClusterBreakingPotential", "boolean"), _parameter("orphanDependents", "boolean"),
           _parameter("propagationPolicy")]


def camel(text: str, *, first: bool) -> str:
    """A text without punctuation, in camel case."""
    out, upper = "", first
    for char in text:
        if char.isalnum():
            out += char.upper() if upper else char
            upper = False
        else:
            upper = True
    return out


@dataclass(frozen=True)
class _Target:
    """What operations are about: names, and the schemas of what goes in and comes out."""

    resource: Resource[Any]
    custom: bool
    schema: dict[str, Any]
    list_schema: dict[str, Any]

    @property
    def group(self) -> str:
        return (self.resource.group or "core").removesuffix(".k8s.io")

    def operation(self, verb: str, rest: str) -> str:
        """`read` and `NamespacedLease` as `readCoordinationV1NamespacedLease`."""
        return verb + camel(self.group, first=True) + camel(self.resource.version, first=True) + rest

    @property
    def tag(self) -> str:
        return f"{camel(self.group, first=False)}_{camel(self.resource.version, first=False)}"

    def kind(self, group_version: str = "", kind: str = "") -> dict[str, str]:
        group, _, version = (group_version or self.resource.group_version).rpartition("/")
        return {"group": group, "kind": kind or self.resource.kind, "version": version}


def _content(schema: dict[str, Any], types: Iterable[str]) -> dict[str, Any]:
    return {kind: {"schema": schema} for kind in types}


def _make(  # noqa: PLR0913 - what an operation says
    target: _Target, action: str, verb: str, rest: str, schema: dict[str, Any], *, codes: tuple[tuple[str, str], ...] = (("200", "OK"),),
    parameters: list[dict[str, Any]] | None = None, types: tuple[str, ...] = _PLAIN, kind: dict[str, str] | None = None,
) -> Operation:
    out: Operation = {"tags": [target.tag], "operationId": target.operation(verb, rest)}
    if parameters:
        out["parameters"] = parameters
    out["responses"] = {code: {"description": text, "content": _content(schema, types)} for code, text in codes}
    out["responses"]["401"] = {"description": "Unauthorized"}
    out["x-kubernetes-action"] = action
    out["x-kubernetes-group-version-kind"] = kind or target.kind()
    return out


_MADE = (("200", "OK"), ("201", "Created"), ("202", "Accepted"))
_PUT = (("200", "OK"), ("201", "Created"))
_GONE = (("200", "OK"), ("202", "Accepted"))


def _collection(target: _Target, namespaced: str) -> dict[str, Operation]:
    kind, verbs = target.resource.kind, target.resource.verbs
    item: dict[str, Operation] = {}
    if "list" in verbs:
        item["get"] = _make(target, "list", "list", namespaced + kind, target.list_schema, parameters=_LIST, types=_STREAMED)
    if "create" in verbs:
        item["post"] = _make(target, "post", "create", namespaced + kind, target.schema, codes=_MADE, parameters=_WRITE)
        item["post"]["requestBody"] = {"content": _content(target.schema, ("*/*",)), "required": True}
    if "deletecollection" in verbs:
        options = [parameter for parameter in [*_DELETE, *_LIST] if parameter["name"] not in ("allowWatchBookmarks", "watch")]
        item["delete"] = _make(target, "deletecollection", "delete", f"Collection{namespaced}{kind}", reference(f"{META}.Status"),
                               parameters=sorted(options, key=lambda parameter: str(parameter["name"])))
        item["delete"]["requestBody"] = {"content": _content(reference(f"{META}.DeleteOptions"), ("*/*",))}
    return item


def _one(target: _Target, namespaced: str) -> dict[str, Operation]:
    kind, verbs = target.resource.kind, target.resource.verbs
    item: dict[str, Operation] = {}
    if "get" in verbs:
        item["get"] = _make(target, "get", "read", namespaced + kind, target.schema)
    item |= _writes(target, namespaced, "", verbs, target.schema, target.kind())
    if "delete" in verbs:
        item["delete"] = _make(target, "delete", "delete", namespaced + kind, reference(f"{META}.Status"), codes=_GONE, parameters=_DELETE)
        item["delete"]["requestBody"] = {"content": _content(reference(f"{META}.DeleteOptions"), ("*/*",))}
    return item


def _writes(target: _Target, namespaced: str, suffix: str, verbs: Iterable[str], schema: dict[str, Any],
            kind: dict[str, str]) -> dict[str, Operation]:
    item: dict[str, Operation] = {}
    rest = namespaced + target.resource.kind + suffix
    if "update" in verbs:
        item["put"] = _make(target, "put", "replace", rest, schema, codes=_PUT, parameters=_WRITE, kind=kind)
        item["put"]["requestBody"] = {"content": _content(schema, ("*/*",)), "required": True}
    if "patch" in verbs:
        types = tuple(one for one in _PATCHES if one != _STRATEGIC or not target.custom)
        item["patch"] = _make(target, "patch", "patch", rest, schema, codes=_PUT, parameters=[*_WRITE, _parameter("force", "boolean")], kind=kind)
        item["patch"]["requestBody"] = {"content": _content(reference(PATCH), types), "required": True}
    return item


def _connect(target: _Target, sub: Subresource, rest: str, kind: dict[str, str]) -> dict[str, Operation]:
    """Operations that open a connection; what they take is the type of their options, field by field."""
    # upstream's documents name the type of one value where several may be given
    fields = {name: field.shape.items or field.shape for name, field in schema.of_type(f"api/core/v1.{sub.kind}").fields.items()}
    types = {"bool": "boolean", "int32": "integer", "int64": "integer"}
    options = [_parameter(name, types.get(shape.form, "string")) for name, shape in sorted(fields.items())
               if name not in ("kind", "apiVersion")]
    methods = _CONNECT_ALL if sub.name == "proxy" else [_CONNECT_METHODS[verb] for verb in sub.verbs]
    return {method: _make(target, "connect", "connect", method.capitalize() + rest, {"type": "string"}, types=("*/*",), kind=kind,
                          parameters=options) for method in methods}


def _with_path(item: dict[str, Any]) -> dict[str, Any]:
    """The operations of a proxy, for what lies below it."""
    below = {method: operation | {"operationId": f"{operation['operationId']}WithPath"}
             for method, operation in item.items() if method != "parameters"}
    return below | {"parameters": [*item["parameters"], _parameter("path", where="path")]}


def _subresource(target: _Target, sub: Subresource, schema: dict[str, Any] | None, namespaced: str) -> dict[str, Operation]:
    suffix, kind = camel(sub.name, first=True), target.kind(sub.group_version, sub.kind)
    rest = namespaced + target.resource.kind + suffix
    if sub.kind.endswith("Options"):
        return _connect(target, sub, rest, kind)
    body = schema or target.schema
    item = {}
    if sub.name == "log":
        item["get"] = _make(target, "get", "read", rest, {"type": "string"}, types=("text/plain", *_PLAIN), kind=kind,
                            parameters=[_parameter("container"), _parameter("follow", "boolean"), _parameter("previous", "boolean"),
                                        _parameter("sinceSeconds", "integer"), _parameter("tailLines", "integer"),
                                        _parameter("timestamps", "boolean"), _parameter("limitBytes", "integer")])
        return item
    if "get" in sub.verbs:
        item["get"] = _make(target, "get", "read", rest, body, kind=kind)
    if "create" in sub.verbs:
        item["post"] = _make(target, "post", "create", rest, body, codes=_MADE, parameters=_WRITE, kind=kind)
        item["post"]["requestBody"] = {"content": _content(body, ("*/*",)), "required": True}
    return item | _writes(target, namespaced, suffix, sub.verbs, body, kind)


def of_resource(resource: Resource[Any], schema: dict[str, Any], list_schema: dict[str, Any], *, custom: bool,
                subresource_schema: Callable[[Subresource], dict[str, Any] | None]) -> dict[str, Any]:
    """The path items of a resource, by path."""
    target = _Target(resource, custom, schema, list_schema)
    namespaced = "Namespaced" if resource.namespaced else ""
    root = f"{resource.root}/namespaces/{{namespace}}/{resource.plural}" if resource.namespaced else f"{resource.root}/{resource.plural}"
    place = [_parameter("namespace", where="path")] if resource.namespaced else []
    named = [_parameter("name", where="path"), *place, _PRETTY]
    items: dict[str, Any] = {}
    if resource.namespaced and "list" in resource.verbs:
        everywhere = _make(target, "list", "list", f"{resource.kind}ForAllNamespaces", list_schema, types=_STREAMED)
        items[f"{resource.root}/{resource.plural}"] = {"get": everywhere, "parameters": [*_LIST, _PRETTY]}
    if collection := _collection(target, namespaced):
        items[root] = collection | {"parameters": [*place, _PRETTY]}
    if one := _one(target, namespaced):
        items[f"{root}/{{name}}"] = one | {"parameters": named}
    for sub in resource.subresources:
        if found := _subresource(target, sub, subresource_schema(sub), namespaced):
            item = items[f"{root}/{{name}}/{sub.name}"] = found | {"parameters": named}
            if sub.name == "proxy":
                items[f"{root}/{{name}}/proxy/{{path}}"] = _with_path(item)
    return items
