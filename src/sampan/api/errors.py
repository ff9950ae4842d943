"""What an API server answers when it cannot do what was asked: the `Status` family of errors.

One class per upstream reason (`k8s.io/apimachinery/pkg/api/errors`). A client raises the same class that the
server raised: `from_status` reads a `Status` body back.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from sampan.lib.errors import SampanError


@dataclass(frozen=True)
class FieldError:
    """One finding of validation, with upstream's reason (`FieldValueRequired`, …), path and words.

    Source: apimachinery `pkg/util/validation/field/errors.go`. Build them with `sampan.api.field`.
    """

    reason: str
    field: str
    detail: str  # the whole text after "field: ", as in the cause's message

    def __str__(self) -> str:
        return f"{self.field}: {self.detail}" if self.field else self.detail


class ApiError(SampanError):
    """Base of all; `code` is the HTTP status, `reason` the word in the Status."""

    code: ClassVar[int] = 500
    reason: ClassVar[str] = "InternalError"
    retriable: ClassVar[bool] = False

    def __init__(self, message: str, *, details: dict[str, Any] | None = None, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.details = details or {}
        self.shows_details = details is not None  # upstream's generic 404 and 405 say `"details": {}`
        self.headers = headers or {}

    def status(self) -> dict[str, Any]:
        """The `Status` object, as upstream writes it."""
        body: dict[str, Any] = {
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": self.message,
        }
        if self.reason:
            body["reason"] = self.reason
        if self.details or self.shows_details:
            body["details"] = self.details
        return body | {"code": self.code}


def _about(name: str, group: str, kind: str) -> dict[str, Any]:
    return {key: value for key, value in (("name", name), ("group", group), ("kind", kind)) if value}


def _resource(plural: str, group: str) -> str:
    return f"{plural}.{group}" if group else plural


class BadRequest(ApiError):
    code, reason = 400, "BadRequest"


class Unauthorized(ApiError):
    code, reason = 401, "Unauthorized"

    def __init__(self, message: str = "Unauthorized") -> None:
        super().__init__(message)


class Forbidden(ApiError):
    code, reason = 403, "Forbidden"

    @classmethod
    def on(cls, plural: str, group: str, name: str, why: str) -> Forbidden:
        """`pods "web" is forbidden: why` (admission's and authorization's form)."""
        quoted = f' "{name}"' if name else ""
        return cls(f"{_resource(plural, group)}{quoted} is forbidden: {why}", details=_about(name, group, plural))


class NotFound(ApiError):
    code, reason = 404, "NotFound"

    @classmethod
    def of(cls, plural: str, group: str, name: str) -> NotFound:
        """`pods "web" not found`."""
        return cls(f'{_resource(plural, group)} "{name}" not found', details=_about(name, group, plural))


class MethodNotAllowed(ApiError):
    code, reason = 405, "MethodNotAllowed"


class NotAcceptable(ApiError):
    code, reason = 406, "NotAcceptable"


class AlreadyExists(ApiError):
    code, reason = 409, "AlreadyExists"

    @classmethod
    def of(cls, plural: str, group: str, name: str) -> AlreadyExists:
        """`pods "web" already exists`."""
        return cls(f'{_resource(plural, group)} "{name}" already exists', details=_about(name, group, plural))


class Conflict(ApiError):
    """The object changed since it was read: read it again, then write."""

    code, reason, retriable = 409, "Conflict", True

    @classmethod
    def of(cls, plural: str, group: str, name: str, why: str) -> Conflict:
        """`Operation cannot be fulfilled on pods "web": why`."""
        return cls(f'Operation cannot be fulfilled on {_resource(plural, group)} "{name}": {why}',
                   details=_about(name, group, plural))


class Gone(ApiError):
    """The resource version asked for is older than the history that is kept: list again."""

    code, reason = 410, "Expired"


class RequestEntityTooLarge(ApiError):
    code, reason = 413, "RequestEntityTooLarge"


class UnsupportedMediaType(ApiError):
    code, reason = 415, "UnsupportedMediaType"


MOST_FINDINGS_BYTES = 1 << 20


class Invalid(ApiError):
    """Validation found something; `errors` has all of it."""

    code, reason = 422, "Invalid"

    def __init__(self, message: str, *, details: dict[str, Any] | None = None, errors: Sequence[FieldError] = ()) -> None:
        super().__init__(message, details=details)
        self.errors = tuple(errors)

    @classmethod
    def of(cls, kind: str, group: str, name: str, errors: Iterable[FieldError]) -> Invalid:
        """`Pod "web" is invalid: …`, with one cause per finding; what is beyond `MOST_FINDINGS_BYTES` is not told.

        Findings show what was sent, some of them all of it: together they could be as large as its square.
        """
        found: list[FieldError] = []
        size = 0
        for error in errors:
            size += len(error.field) + len(error.detail)
            if found and size > MOST_FINDINGS_BYTES:
                break
            found.append(error)
        texts = list(dict.fromkeys(str(error) for error in found))  # upstream's aggregate drops repeats
        text = texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
        causes = [{"reason": e.reason, "message": e.detail, "field": e.field} for e in found]
        full = f"{kind}.{group}" if group else kind
        return cls(f'{full} "{name}" is invalid: {text}',
                   details=_about(name, group, kind) | ({"causes": causes} if causes else {}), errors=found)


class TooManyRequests(ApiError):
    code, reason, retriable = 429, "TooManyRequests", True


class InternalError(ApiError):
    code, reason = 500, "InternalError"


class ServiceUnavailable(ApiError):
    code, reason, retriable = 503, "ServiceUnavailable", True


class Timeout(ApiError):
    code, reason, retriable = 504, "Timeout", True


class OtherStatus(ApiError):
    """A Status whose reason has no class of its own; it keeps its code and reason."""

    def __init__(self, message: str, *, code: int, reason: str = "", details: dict[str, Any] | None = None) -> None:
        super().__init__(message, details=details)
        self.code, self.reason = code, reason  # type: ignore[misc]


_BY_REASON: dict[tuple[int, str], type[ApiError]] = {
    (kind.code, kind.reason): kind
    for kind in (BadRequest, Unauthorized, Forbidden, NotFound, MethodNotAllowed, NotAcceptable, AlreadyExists, Conflict,
                 Gone, RequestEntityTooLarge, UnsupportedMediaType, Invalid, TooManyRequests, InternalError,
                 ServiceUnavailable, Timeout)
}


def from_status(status: dict[str, Any]) -> ApiError:
    """The error that a `Status` body stands for."""
    code, reason = int(status.get("code") or 500), str(status.get("reason") or "")
    message, details = str(status.get("message") or reason or code), status.get("details") or {}
    kind = _BY_REASON.get((code, reason))
    if kind is None:
        return OtherStatus(message, code=code, reason=reason, details=details)
    error = kind.__new__(kind)
    ApiError.__init__(error, message, details=details)
    if isinstance(error, Invalid):
        error.errors = tuple(FieldError(c.get("reason", ""), c.get("field", ""), c.get("message", ""))
                             for c in details.get("causes", ()))
    return error


def namespace_ends(error: ApiError) -> bool:
    """Whether an object was refused because its namespace is being deleted: trying again is of no use."""
    causes = error.details.get("causes") or []
    return any(cause.get("reason") == "NamespaceTerminating" for cause in causes)
