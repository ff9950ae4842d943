"""Method, path and query to a `RequestInfo`: once, for everything that follows.

Source: `k8s.io/apiserver/pkg/endpoints/request/requestinfo.go`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from urllib.parse import unquote_plus

from sampan.apiserver.request import RequestInfo
from sampan.lib.memo import remembered

_VERBS = {"POST": "create", "GET": "get", "HEAD": "get", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_NAMESPACE_SUBRESOURCES = ("status", "finalize")
_NOTHING: Mapping[str, list[str]] = {}
_FALSE = ("false", "0")


@remembered(maxsize=2048)
def _parse_query(query: bytes) -> Mapping[str, list[str]]:
    found: dict[str, list[str]] = {}
    for part in query.decode("latin-1").split("&"):
        if not part or ";" in part:
            continue
        key, _, value = part.partition("=")
        found.setdefault(_plain(key), []).append(_plain(value))
    return found


def parse_query(query: bytes) -> Mapping[str, list[str]]:
    """Names to values in their order; shared between requests, so read-only."""
    return _parse_query(query) if query else _NOTHING


def _plain(text: str) -> str:
    return unquote_plus(text, errors="replace") if "%" in text or "+" in text else text


def parse_headers(raw: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Lower-case names to values; a header that is repeated keeps all its values, joined by line feeds.

    A line feed cannot stand inside a header, so nothing is lost; the repeated ones that matter are Impersonate-*.
    """
    found: dict[str, str] = {}
    for key, value in raw:
        name = key.decode("latin-1")
        text = value.decode("utf-8", "surrogateescape")
        found[name] = f"{found[name]}\n{text}" if name in found else text
    return found


def truth(query: Mapping[str, list[str]], name: str) -> bool:
    """Go's reading of a boolean parameter: there and neither `false` nor `0`."""
    values = query.get(name)
    return bool(values) and values[0].lower() not in _FALSE  # type: ignore[index]


def exact_name(selector: str) -> str:
    """The name that a field selector asks for, if it asks for exactly one."""
    for term in selector.split(","):
        key, equals, value = term.partition("=")
        if equals and key.strip() == "metadata.name":
            return value.removeprefix("=").strip()
    return ""


def parse(method: str, path: str, query: Mapping[str, list[str]], headers: Mapping[str, str]) -> RequestInfo:
    """What the request is about."""
    info = RequestInfo(method, path, query, headers, "")
    parts = path.strip("/").split("/")
    count = len(parts)
    if count > 2 and parts[0] == "api":
        info.version, parts = parts[1], parts[2:]
    elif count > 3 and parts[0] == "apis":
        info.group, info.version, parts = parts[1], parts[2], parts[3:]
    else:
        parts = []
    info.is_resource = bool(parts) and _resource(info, parts)
    if not info.is_resource:
        info.verb = method.lower()
    return info


def _resource(info: RequestInfo, parts: list[str]) -> bool:
    """What the part of the path after the version names; whether it does."""
    count = len(parts)
    verb = _VERBS.get(info.method, "")
    if parts[0] in ("watch", "proxy"):
        if count < 2:
            return False
        verb, parts, count = parts[0], parts[1:], count - 1
    if parts[0] == "namespaces" and count > 1:
        info.namespace = parts[1]
        if count > 2 and parts[2] not in _NAMESPACE_SUBRESOURCES:
            parts, count = parts[2:], count - 2
    info.resource = parts[0]
    if count > 1:
        info.name = parts[1]
    if count > 2:
        info.subresource = parts[2]
        info.subpath = "/".join(parts[3:])
    if not info.name and verb == "get":
        verb = "watch" if truth(info.query, "watch") else "list"
    elif not info.name and verb == "delete":
        verb = "deletecollection"
    if verb in ("list", "watch", "deletecollection") and not info.name:
        selector = info.query.get("fieldSelector")
        if selector and "metadata.name" in selector[0]:
            info.selected_name = exact_name(selector[0])
    info.verb = verb
    return True
