"""PATCH: JSON, merge and strategic merge patches, and server-side apply.

Source: `k8s.io/apiserver/pkg/endpoints/handlers/patch.go`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

from sampan.api import codec, field, patch, schema, strict
from sampan.api.errors import ApiError, BadRequest, Conflict, Invalid, UnsupportedMediaType
from sampan.api.opening import Way
from sampan.api.resources import ALL
from sampan.api.restore import Restore
from sampan.api.shapewalk import Walk
from sampan.apiserver import bodies, metadata
from sampan.apiserver.auth.asking import settled
from sampan.apiserver.catalog import Served
from sampan.apiserver.handlers.base import Api, Body, form_of, object_answer, write_of
from sampan.apiserver.handlers.owners import once_each
from sampan.apiserver.handlers.update import authorize_create
from sampan.apiserver.options import WriteOptions, write_options
from sampan.apiserver.request import RequestInfo
from sampan.apiserver.response import Response

Patcher = Callable[[Any], Any]
"""Makes the patched object of the one that is there (None: of nothing, for applying)."""

_IDENTITY: Way = {"apiVersion": None, "kind": None, "metadata": {"name": None, "namespace": None}}
"""What is looked at of every patched object."""


async def patch_(api: Api, info: RequestInfo, served: Served, body: Body) -> Response:
    """Apply a patch to the object as it is, as often as others are faster."""
    form = form_of(info)
    kind = content_type(served, info)
    raw = await body()
    options = write_options(info, "PatchOptions")
    if kind == patch.APPLY:
        return await _apply(api, info, served, raw, options)
    namespace = info.namespace if served.resource.namespaced else ""
    change = patcher(served, info, raw, options, partial(api.registry.text, served, namespace, info.name))
    written = await api.registry.update(served, namespace, info.name, change, write_of(info, options))
    return object_answer(api, info, served, written.object, written.body, form=form)


def content_type(served: Served, info: RequestInfo) -> str:
    """Which kind of patch it is.

    Raises:
        UnsupportedMediaType: None.
    """
    kind = info.headers.get("content-type", "").partition(";")[0].strip().lower()
    known = (patch.JSON, patch.MERGE, patch.STRATEGIC, patch.APPLY)
    if kind not in known:
        raise UnsupportedMediaType("415: Unsupported Media Type", details={})
    if kind == patch.STRATEGIC and served.custom is not None:
        raise UnsupportedMediaType("the body of the request was in an unknown format - accepted media types include: "
                                   f"{patch.JSON}, {patch.MERGE}, {patch.APPLY}")
    return kind


def patcher(served: Served, info: RequestInfo, raw: bytes, options: WriteOptions, text: Callable[[Any], bytes] = codec.encode) -> Patcher:
    """A patch of one of the three types, parsed. `text` is the JSON of what it is applied to.

    Raises:
        BadRequest: It is no such patch.
    """
    kind = content_type(served, info)
    shape = None if served.custom is not None else schema.of_resource(served.resource)
    parsed = patch.parse(kind, raw, shape)
    words = Restore if kind == patch.STRATEGIC else Walk
    warned = [False]

    status = _status_alone(served, info, parsed)

    def change(old: Any) -> Any:
        if status is not None and (made := status(old)) is not None:
            return made
        tree = parsed.apply(codec.loads(text(old)) if served.custom else parsed.tree(text(old), _IDENTITY))
        if kind == patch.STRATEGIC:  # it changes the fields of a Go struct, whose kind is another matter
            tree |= {"kind": served.resource.kind, "apiVersion": served.resource.group_version}
        try:
            strict.claimed(served.resource, tree, lambda: parsed.told(tree))
            coerce = served.custom.decode if served.custom else None
            decoded = strict.convert(served.resource, tree, validation=options.validation, coerce=coerce, walk=words)
            problems = [*parsed.problems, *decoded.problems] if options.validation != "Ignore" else []
            if problems and options.validation == "Strict":
                raise strict.Undecodable(f"strict decoding error: {', '.join(problems)}")
        except strict.Undecodable as error:
            raise Invalid.of("", "", "", [field.invalid("patch", parsed.told(tree), str(error))]) from None
        check_identity(served, info, tree, parsed)
        if problems and not warned[0]:
            info.warnings += problems
            warned[0] = True
        obj = bodies.typed(served, decoded.object)
        bodies.forget_owners(obj, tree)
        once_each(obj, info.warnings, changed=True)
        return obj

    return change


def _status_alone(served: Served, info: RequestInfo, parsed: patch.Patch) -> Patcher | None:
    """What makes the patched object out of the status alone, where a patch can be of that; None of an object for which it can't.

    What is wrong is left to the patching of the whole object, so that it is told in its words.
    """
    sub = served.kind.subkind(info.subresource) if info.subresource == "status" and served.custom is None else None
    if sub is None or sub.default is None or parsed.problems or not isinstance(parsed, patch.MergingPatch):
        return None

    def change(old: Any) -> Any:
        was = old.status
        if not parsed.only("status", old.metadata.uid):
            return None
        try:
            status = codec.convert(type(was), parsed.apply_to("status", codec.encode(was)))
        except (ApiError, codec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        return metadata.copied(old, status=status)

    return change


def check_identity(served: Served, info: RequestInfo, tree: Any, parsed: patch.Patch) -> None:
    """A patch changes neither the kind nor the name.

    Raises:
        Invalid: Another kind or version.
        BadRequest: Another name, or none.
    """
    resource = served.resource
    said = tree.get("apiVersion") or resource.group_version, tree.get("kind") or resource.kind
    if said != (resource.group_version, resource.kind):
        why = f'no kind "{said[1]}" is registered for version "{said[0]}" in scheme "pkg/runtime/scheme.go:111"'
        group, _, version = said[0].rpartition("/")
        if any(one.kind == said[1] and one.group == group and one.version == version for one in ALL):
            package = served.resource.group.partition(".")[0] or "core"
            why = f"converting ({version}.{said[1]}) to ({package}.{resource.kind}): unknown conversion"
        raise Invalid.of("", "", "", [field.invalid("patch", parsed.told(tree), why)])
    meta = tree.get("metadata") or {}
    _check_place(served, info, meta.get("name"), meta.get("namespace"))


def tell_problems(problems: list[str], options: WriteOptions, warnings: list[str]) -> None:
    """What is strictly wrong with the YAML of a configuration that could be applied: each line a warning, told once.

    Raises:
        BadRequest: It had to be strict.
    """
    if problems and options.validation == "Strict":
        raise BadRequest(f"error strict decoding YAML: error converting YAML to JSON: {problems[0]}")
    warnings += [line.strip() for text in problems for line in text.removeprefix("yaml: unmarshal errors:\n").split("\n")]
    problems.clear()


def check_applied(served: Served, info: RequestInfo, new: Any, *, made: bool) -> None:
    """What was applied is the object of the path; a new one has no uid yet.

    Raises:
        Conflict: It is `made`, and the configuration names a uid.
        BadRequest: Another name or namespace, or no name.
    """
    resource, meta = served.resource, metadata.meta_of(new)
    if made and meta.uid:
        raise Conflict.of(resource.plural, resource.group, info.name, f"uid mismatch: the provided object specified uid {meta.uid}, "
                                                                      "and no existing object was found")
    _check_place(served, info, meta.name, meta.namespace)


def _check_place(served: Served, info: RequestInfo, name: str | None, namespace: str | None) -> None:
    if served.resource.namespaced and namespace and namespace != info.namespace:
        raise BadRequest("the namespace of the provided object does not match the namespace sent on the request")
    if not name:
        raise BadRequest(f"the name of the object ({info.name} based on URL) was undeterminable: name must be provided")
    if name != info.name:
        raise BadRequest(f"the name of the object ({name}) does not match the name on the URL ({info.name})")


async def _apply(api: Api, info: RequestInfo, served: Served, raw: bytes, options: WriteOptions) -> Response:
    """Server-side apply: the fields that the manager names are his; a missing object is made."""
    fields = api.parts["apply"]
    form = form_of(info)
    problems: list[str] = []
    parse = partial(fields.parse, served, raw, options, problems)
    applied = await asyncio.to_thread(parse) if len(raw) > bodies.LONG_YAML_BYTES else parse()
    write = write_of(info, options)
    write.applying = True

    def change(old: Any) -> Any:
        new = fields.apply(served, old, applied, manager=options.manager, force=options.force, subresource=info.subresource,
                           now=api.registry.now())
        tell_problems(problems, options, info.warnings)
        check_applied(served, info, new, made=old is None)
        return new

    def missing() -> Any:
        authorize_create(api, info)
        new = change(None)
        meta = metadata.meta_of(new)
        meta.resourceVersion = ""
        metadata.put_meta(new, meta)
        return new

    namespace = info.namespace if served.resource.namespaced else ""
    written = await settled(lambda: api.registry.update(
        served, namespace, info.name, change, write, missing=None if info.subresource else missing))
    return object_answer(api, info, served, written.object, written.body, code=201 if written.created else 200, form=form)
