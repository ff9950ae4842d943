"""AdmissionReview: what a webhook is sent, and what its answer says.

Pure. Source: apiserver `pkg/admission/plugin/webhook/{request/admissionreview.go,errors/statuserror.go}`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sampan.api import codec, goprint, jsonsyntax, strict
from sampan.api.admission.v1 import AdmissionResponse
from sampan.api.errors import OtherStatus
from sampan.api.jsonvalues import word
from sampan.api.meta.v1 import Status
from sampan.api.resourceinfo import Resource
from sampan.apiserver.admission.base import AdmissionRequest
from sampan.apiserver.webhooks.matching import Kind, kind_of, namespace_of

GROUP = "admission.k8s.io"
VERSIONS = ("v1", "v1beta1")


class BadReview(Exception):
    """An answer that is no AdmissionReview, or none to what was asked; the text is upstream's."""


class Undecodable(Exception):
    """A body that can't be read as JSON or as an AdmissionReview; the text is upstream's."""


@dataclass(frozen=True)
class Seen:
    """A request as one webhook sees it: in the version it asked for."""

    resource: Resource[Any]
    kind: Kind
    object: Any
    old: Any


@dataclass(frozen=True)
class Verdict:
    """What a webhook said."""

    allowed: bool
    status: Status | None = None
    patch: bytes = b""
    patch_type: str = ""
    warnings: tuple[str, ...] = ()
    audit_annotations: dict[str, str] = field(default_factory=dict)


def version_of(accepted: list[str] | None) -> str:
    """The first version of reviews that both sides know, "" for none."""
    return next((one for one in accepted or () if one in VERSIONS), "")


def render(version: str, uid: str, request: AdmissionRequest, seen: Seen) -> bytes:
    """The AdmissionReview to send."""
    return codec.encode({"kind": "AdmissionReview", "apiVersion": f"{GROUP}/{version}", "request": {"uid": uid} | attributes(request, seen)})


def attributes(request: AdmissionRequest, seen: Seen) -> dict[str, Any]:
    """The `request` of the review but for its uid: what match conditions see as well."""
    asked, resource = request.resource, seen.resource
    out: dict[str, Any] = {
        "kind": seen.kind.wire(),
        "resource": {"group": resource.group, "version": resource.version, "resource": resource.plural},
        "requestKind": kind_of(asked, request.subresource).wire(),
        "requestResource": {"group": asked.group, "version": asked.version, "resource": asked.plural},
        "operation": request.operation, "userInfo": _user(request), "object": seen.object, "oldObject": seen.old,
        "dryRun": request.dry_run, "options": _options(request),
    }
    if request.subresource:
        out["subResource"] = out["requestSubResource"] = request.subresource
    return out | {key: value for key, value in (("name", request.name), ("namespace", namespace_of(request))) if value}


def _options(request: AdmissionRequest) -> dict[str, Any] | None:
    if request.operation == "CONNECT":
        return None
    # a patch is an update or a creation by now, which knows no force
    given = {key: value for key, value in request.options.items() if key != "force"}
    return given | {"kind": f"{request.operation.capitalize()}Options", "apiVersion": "meta.k8s.io/v1"}


def _user(request: AdmissionRequest) -> dict[str, Any]:
    user = request.user
    out: dict[str, Any] = {"username": user.name}
    if user.uid:
        out["uid"] = user.uid
    if user.groups:
        out["groups"] = list(user.groups)
    if user.extra:
        out["extra"] = {key: list(values) for key, values in user.extra.items()}
    return out


def parse(body: bytes) -> dict[str, Any]:
    """The answer as a tree.

    Raises:
        Undecodable: It is not a JSON object.
    """
    try:
        tree = codec.loads(body)
    except RecursionError:
        raise Undecodable("exceeded max depth") from None
    except (codec.DecodeError, UnicodeDecodeError) as error:
        raise Undecodable(f"couldn't get version/kind; json parse error: {jsonsyntax.explain(body) or error}") from None
    if not isinstance(tree, dict):
        raise Undecodable("couldn't get version/kind; json parse error: json: cannot unmarshal "
                          f"{word(tree)} into Go value of type struct {{ APIVersion string \"json:\\\"apiVersion,omitempty\\\"\"; "
                          "Kind string \"json:\\\"kind,omitempty\\\"\" }")
    return tree


def verdict(version: str, uid: str, tree: dict[str, Any], *, mutating: bool) -> Verdict:
    """What the answer says.

    Raises:
        Undecodable: Its fields have other types.
        BadReview: It is no valid answer to that request.
    """
    if tree.get("response") is None:
        raise BadReview("webhook response was absent")
    try:
        plain, _ = strict.coerce_to(AdmissionResponse, tree["response"], "response")
        answer = codec.convert(AdmissionResponse, plain)
    except (strict.Undecodable, codec.DecodeError) as error:
        raise Undecodable(str(error)) from None
    if version == "v1":
        _check(uid, tree, answer)
    kind = answer.patchType
    if mutating and version == "v1":
        if answer.patch and kind is None:
            raise BadReview("webhook returned response.patch but not response.patchType")
        if not answer.patch and kind is not None:
            raise BadReview("webhook returned response.patchType but not response.patch")
        if kind == "":
            raise BadReview('webhook returned invalid response.patchType of ""')
    elif not mutating and version == "v1":
        if answer.patch:
            raise BadReview("validating webhook may not return response.patch")
        if kind is not None:
            raise BadReview("validating webhook may not return response.patchType")
    elif mutating:
        kind = "JSONPatch" if answer.patch else None  # v1beta1 knows one type and need not say so
    return Verdict(answer.allowed, answer.status, answer.patch if mutating else b"", kind or "", tuple(answer.warnings),
                   dict(answer.auditAnnotations))


def _check(uid: str, tree: dict[str, Any], answer: AdmissionResponse) -> None:
    if answer.uid != uid:
        raise BadReview(f"expected response.uid={goprint.quote(uid)}, got {goprint.quote(answer.uid)}")
    group, slash, version = str(tree.get("apiVersion") or "").partition("/")
    if not slash:
        group, version = "", group
    kind = str(tree.get("kind") or "")
    if (group, version, kind) != (GROUP, "v1", "AdmissionReview"):
        raise BadReview(f"expected webhook response of {GROUP}/v1, Kind=AdmissionReview, got {group}/{version}, Kind={kind}")


def denial(name: str, status: Status | None) -> OtherStatus:
    """What the client is told when the webhook said no."""
    by = f"admission webhook {goprint.quote(name)} denied the request"
    if status is None:
        return OtherStatus(f"{by} without explanation", code=400)
    why = status.message or status.reason
    details = codec.to_builtins(status.details) if status.details is not None else None
    return OtherStatus(f"{by}: {why}" if why else f"{by} without explanation", code=max(status.code, 400), reason=status.reason, details=details)
