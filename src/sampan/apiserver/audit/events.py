"""Audit events (audit.k8s.io/v1) as lines of JSON.

Pure. Source: apiserver `pkg/audit/request.go`, `pkg/endpoints/filters/audit.go`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from sampan.api import codec
from sampan.api.errors import ApiError
from sampan.api.scalars import MicroTime
from sampan.apiserver import bodies
from sampan.apiserver.audit.policy import Telling
from sampan.apiserver.request import RequestInfo, User
from sampan.apiserver.response import Answer, Response

PATCH = "patch.webhook.admission.k8s.io/"
UNAUTHORIZED = 401
NOBODY = User("")


@dataclass
class Told:
    """What is known of one request."""

    info: RequestInfo
    telling: Telling
    identity: str
    received: datetime
    body: bytes = b""
    response: Response | None = None


def line(told: Told, stage: str, now: datetime) -> bytes:
    """One event, with its end of line."""
    info, telling = told.info, told.telling
    stranger = info.authenticated is None and told.response is not None and told.response.code == UNAUTHORIZED
    user = NOBODY if stranger else info.authenticated or info.user
    event: dict[str, Any] = {
        "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": telling.level, "auditID": told.identity, "stage": stage,
        "requestURI": _uri(info), "verb": info.verb, "user": _user(user)}
    if info.user != user and not stranger:
        event["impersonatedUser"] = _user(info.user)
    if info.remote_address:
        event["sourceIPs"] = [info.remote_address]
    if agent := info.headers.get("user-agent"):
        event["userAgent"] = agent[:1024]
    if info.is_resource:
        event["objectRef"] = _reference(info)
    if stage != "RequestReceived" and told.response is not None:
        event["responseStatus"] = {"metadata": {}} | _status(told.response) | ({"message": _attempted(info)} if stranger else {})
        if annotations := _annotations(told):
            event["annotations"] = annotations
        if telling.at_least("Request") and (obj := _request_object(told)) is not None:
            event["requestObject"] = obj
        if telling.at_least("RequestResponse") and (obj := _response_object(told)) is not None:
            event["responseObject"] = obj
    event["requestReceivedTimestamp"], event["stageTimestamp"] = MicroTime.of(told.received.astimezone(UTC)), MicroTime.of(now.astimezone(UTC))
    return codec.encode(event) + b"\n"


def _attempted(info: RequestInfo) -> str:
    """By what a stranger tried to be known. Source: apiserver `pkg/endpoints/filters/audit.go`, `getAuthMethods`."""
    scheme = info.headers.get("authorization", "").strip().partition(" ")[0].lower()
    tried = [scheme] if scheme in {"basic", "bearer"} else []
    if "base64url.bearer.authorization.k8s.io." in info.headers.get("sec-websocket-protocol", ""):
        tried.append("bearer")
    if info.peer_certificate:
        tried.append("x509")
    return f"Authentication failed, attempted: {', '.join(tried)}" if tried else "Authentication failed, no credentials provided"


def _uri(info: RequestInfo) -> str:
    query = urlencode([(key, value) for key, values in info.query.items() for value in values])
    return f"{info.path}?{query}" if query else info.path


def _user(user: User) -> dict[str, Any]:
    extra = {key: list(values) for key, values in user.extra.items()}
    parts = (("username", user.name), ("uid", user.uid), ("groups", list(user.groups)), ("extra", extra))
    return {key: value for key, value in parts if value}


def _reference(info: RequestInfo) -> dict[str, str]:
    parts = (("resource", info.resource), ("namespace", info.namespace), ("name", info.name), ("apiGroup", info.group),
             ("apiVersion", info.version), ("subresource", info.subresource))
    return {key: value for key, value in parts if value}


def _annotations(told: Told) -> dict[str, str]:
    """Patches of webhooks say what was asked for: they are told only where bodies are."""
    bodies_too = told.telling.at_least("Request")
    return {key: value for key, value in told.info.audit_annotations.items() if bodies_too or not key.startswith(PATCH)}


def _status(response: Response) -> dict[str, Any]:
    if response.code < 400 or not isinstance(response, Answer):
        return {"code": response.code}
    try:
        status = codec.loads(response.joined())
    except (codec.DecodeError, UnicodeDecodeError):
        return {"code": response.code}
    if not isinstance(status, dict) or status.get("kind") != "Status":
        return {"code": response.code}
    return {key: status[key] for key in ("status", "message", "reason", "details", "code") if key in status}


def _request_object(told: Told) -> Any:
    """The body, where it is an object or a patch that JSON can say."""
    if not told.body:
        return None
    try:
        return _without(codec.loads(bodies.as_json(told.body, told.info.headers.get("content-type", "").replace("-patch", ""))), told)
    except (ApiError, codec.DecodeError, UnicodeDecodeError, RecursionError):
        return None  # the request was refused for it


def _response_object(told: Told) -> Any:
    response = told.response
    if not isinstance(response, Answer):
        return None
    try:
        return _without(codec.loads(response.joined()), told)
    except (codec.DecodeError, UnicodeDecodeError):
        return _without(codec.to_builtins(response.result), told) if response.result is not None else None


def _without(tree: Any, told: Told) -> Any:
    if told.telling.managed_fields or not isinstance(tree, dict):
        return tree
    for one in (tree, *(tree.get("items") or ())):
        if isinstance(one, dict) and isinstance(meta := one.get("metadata"), dict):
            meta.pop("managedFields", None)
    return tree
