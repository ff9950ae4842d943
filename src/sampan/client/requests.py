"""Requests as pure values: paths, queries and bodies of what a `Client` does, the same for every transport."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

from sampan.api import codec
from sampan.api.errors import ApiError, OtherStatus, TooManyRequests, from_status
from sampan.api.resourceinfo import Resource
from sampan.client.base import DeleteOptions

JSON = "application/json"
_PLAIN = re.compile(r"[A-Za-z0-9.-]*").fullmatch  # nothing to quote, as in nearly all names


def query(**values: Any) -> str:
    """A query string of what is set (`""`, 0, None and False are left out), with its question mark."""
    found = {key: ("true" if value is True else str(value)) for key, value in values.items() if value not in ("", 0, None, False)}
    return f"?{urlencode(found)}" if found else ""


def path(resource: Resource[Any], namespace: str, name: str = "", subresource: str = "") -> str:
    """The URL path with its parts quoted."""
    if not _PLAIN(namespace):
        namespace = quote(namespace, safe="")
    if not _PLAIN(name):
        name = quote(name, safe=":")
    return resource.path(namespace, name, subresource)


def where(obj: Any) -> tuple[str, str]:
    """(namespace, name) of a Struct or dict."""
    if isinstance(obj, dict):
        meta = obj.get("metadata") or {}
        return str(meta.get("namespace") or ""), str(meta.get("name") or "")
    meta = getattr(obj, "metadata", None)
    return (meta.namespace, meta.name) if meta is not None else ("", "")


def encoded(resource: Resource[Any], obj: Any, *, typed: bool = True) -> bytes:
    """The body; kind and apiVersion are filled in where they are not there (not for subresources' own kinds)."""
    if isinstance(obj, bytes | bytearray):
        return bytes(obj)
    body = codec.encode(obj)
    if typed and not body.startswith(b'{"kind":"') and b'"apiVersion":' not in body:
        head = codec.encode({"kind": resource.kind, "apiVersion": resource.group_version})
        body = head[:-1] + (b"," + body[1:] if body != b"{}" else b"}")
    return body


def delete_body(options: DeleteOptions) -> bytes:
    """DeleteOptions as JSON, empty where nothing is said."""
    value: dict[str, Any] = {}
    if options.grace_period_seconds is not None:
        value["gracePeriodSeconds"] = options.grace_period_seconds
    if options.propagation is not None:
        value["propagationPolicy"] = options.propagation
    conditions = {key: text for key, text in (("uid", options.uid), ("resourceVersion", options.resource_version)) if text}
    if conditions:
        value["preconditions"] = conditions
    return codec.encode({"kind": "DeleteOptions", "apiVersion": "v1"} | value) if value else b""


def patch_body(patch: Any) -> bytes:
    """A dict, a list, a Struct or bytes."""
    return bytes(patch) if isinstance(patch, bytes | bytearray) else codec.encode(patch)


Headers = Mapping[str, str]


def error_of(code: int, body: bytes) -> ApiError:
    """The error of an answer, whether or not it is a Status."""
    try:
        value = codec.loads(body)
    except codec.DecodeError:
        value = None
    if isinstance(value, dict) and value.get("kind") == "Status":
        return from_status(value)
    text = body.decode("utf-8", "replace").strip() or f"the server answered {code}"
    return TooManyRequests(text) if code == TooManyRequests.code else OtherStatus(text, code=code)


def decoded(wire: type[Any], body: bytes) -> Any:
    """An object of that class; a Status or another kind as dicts."""
    try:
        return codec.decode(wire, body)
    except codec.DecodeError:
        return codec.loads(body)
