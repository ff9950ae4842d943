"""The query's options of writes, lists, watches and deletions: parsed, validated, with upstream's words.

Source: `k8s.io/apimachinery/pkg/apis/meta/{v1,internalversion}/validation`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sampan.api import codec, field, gotime, jsonsyntax, strict
from sampan.api.errors import BadRequest, FieldError, Invalid
from sampan.api.meta.v1 import DeleteOptions
from sampan.apiserver import metadata
from sampan.apiserver.deletion import dry_run_errors, validate_options
from sampan.apiserver.request import RequestInfo

Query = Mapping[str, list[str]]
GROUP = "meta.k8s.io"
FIELD_VALIDATIONS = ("", "Ignore", "Strict", "Warn")


def first(query: Query, name: str) -> str:
    """The first value of a parameter, empty when it is not there."""
    values = query.get(name)
    return values[0] if values else ""


def boolean(query: Query, name: str) -> bool | None:
    """Go's reading: anything but `false` and `0` is true."""
    values = query.get(name)
    return None if not values else values[0].lower() not in ("false", "0")


def integer(query: Query, name: str) -> int | None:
    """A 64-bit number.

    Raises:
        BadRequest: In Go's words.
    """
    values = query.get(name)
    if not values:
        return None
    text = values[0]
    digits = text[1:] if text[:1] in ("-", "+") else text
    if not digits.isascii() or not digits.isdigit():
        raise BadRequest(f'strconv.ParseInt: parsing "{text}": invalid syntax')
    digits = digits.lstrip("0") or "0"
    number = int(digits) if len(digits) < 20 else 2**64  # Python refuses to read very long ones
    if text[0] == "-":
        number = -number
    if not -(2**63) <= number < 2**63:
        raise BadRequest(f'strconv.ParseInt: parsing "{text}": value out of range')
    return number


@dataclass(frozen=True)
class WriteOptions:
    """What a create, update or patch may say."""

    dry_run: bool = False
    manager: str = ""
    validation: str = "Warn"
    force: bool = False
    wire: Any = None
    """As admission plugins see them: the options object's JSON fields."""


def check_timeout(text: str) -> None:
    """How long a client is ready to wait: the server has its own bound, but minds what it can't read.

    Raises:
        BadRequest: It is no duration.
    """
    try:
        gotime.duration(text or "0")
    except ValueError as error:
        raise BadRequest(f"invalid timeout specified in the request URL - {error}") from None


def write_options(info: RequestInfo, kind: str) -> WriteOptions:
    """`kind` is CreateOptions, UpdateOptions or PatchOptions.

    Raises:
        Invalid: A value is not supported.
    """
    query = info.query
    apply = kind == "PatchOptions" and info.headers.get("content-type", "").startswith("application/apply-patch")
    if not query and not apply:
        return WriteOptions(manager=default_manager(info), wire={"kind": kind, "apiVersion": f"{GROUP}/v1"})
    dry_run, manager, validation = query.get("dryRun", []), first(query, "fieldManager"), first(query, "fieldValidation")
    force = boolean(query, "force")
    found: list[FieldError] = []
    if kind == "PatchOptions":
        if apply and not manager:
            found.append(field.required("fieldManager", "is required for apply patch"))
        if not apply and force is not None:
            found.append(field.forbidden("force", "may not be specified for non-apply patch"))
    found += metadata.manager_errors("fieldManager", manager)
    found += dry_run_errors(dry_run)
    if validation not in FIELD_VALIDATIONS:
        found.append(field.not_supported("fieldValidation", validation, FIELD_VALIDATIONS))
    if found:
        raise Invalid.of(kind, GROUP, "", found)
    wire: dict[str, Any] = {"kind": kind, "apiVersion": f"{GROUP}/v1"}
    wire |= {key: value for key, value in (("dryRun", dry_run), ("force", force), ("fieldManager", manager),
                                           ("fieldValidation", validation)) if value}
    return WriteOptions(bool(dry_run), manager or default_manager(info), validation or "Warn", bool(force), wire)


def default_manager(info: RequestInfo) -> str:
    """The field manager of a client that names none: the start of its user agent."""
    agent = info.headers.get("user-agent", "").partition("/")[0]
    printable = agent if agent.isprintable() else "".join(char for char in agent if char.isprintable())
    return printable[:128] or "unknown"


@dataclass(frozen=True)
class ListOptions:
    """What a list or watch may say."""

    labels: str = ""
    fields: str = ""
    limit: int = 0
    continue_: str = ""
    revision: str = ""
    match: str = ""
    timeout_seconds: int | None = None
    watch: bool = False
    bookmarks: bool = False
    initial_events: bool | None = None


_EMPTY = ListOptions()


def list_options(info: RequestInfo, *, watch: bool = False) -> ListOptions:
    """Parse and validate.

    Raises:
        BadRequest: A number is none.
        Invalid: Options that contradict one another.
    """
    query = info.query
    if not query:
        return _EMPTY if not watch else ListOptions(watch=True)
    options = ListOptions(
        first(query, "labelSelector"), first(query, "fieldSelector"), integer(query, "limit") or 0, first(query, "continue"),
        first(query, "resourceVersion"), first(query, "resourceVersionMatch"), integer(query, "timeoutSeconds"),
        watch or bool(boolean(query, "watch")), bool(boolean(query, "allowWatchBookmarks")), boolean(query, "sendInitialEvents"))
    found = _watch_errors(options) if options.watch else _list_errors(options)
    if found:
        raise Invalid.of("ListOptions", GROUP, "", found)
    return options


_MATCH = "resourceVersionMatch"


def _list_errors(options: ListOptions) -> list[FieldError]:
    found: list[FieldError] = []
    if options.match:
        if not options.revision:
            found.append(field.forbidden(_MATCH, "resourceVersionMatch is forbidden unless resourceVersion is provided"))
        if options.continue_:
            found.append(field.forbidden(_MATCH, "resourceVersionMatch is forbidden when continue is provided"))
        if options.match not in ("Exact", "NotOlderThan"):
            found.append(field.not_supported(_MATCH, options.match, ("Exact", "NotOlderThan", "")))
        if options.match == "Exact" and options.revision == "0":
            found.append(field.forbidden(_MATCH, 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"'))
    if options.initial_events is not None:
        found.append(field.forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list"))
    return found


def _watch_errors(options: ListOptions) -> list[FieldError]:
    found: list[FieldError] = []
    if options.initial_events is not None and options.match != "NotOlderThan":
        found.append(field.forbidden(_MATCH, "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"))
    if options.match:
        if options.initial_events is None:
            found.append(field.forbidden(_MATCH, "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"))
        if options.match != "NotOlderThan":
            found.append(field.not_supported(_MATCH, options.match, ("NotOlderThan",)))
        if options.continue_:
            found.append(field.forbidden(_MATCH, "resourceVersionMatch is forbidden when continue is provided"))
    return found


_DELETE_PARAMETERS = ("gracePeriodSeconds", "orphanDependents", "propagationPolicy", "dryRun",
                      "ignoreStoreReadErrorWithClusterBreakingPotential")


def delete_options(info: RequestInfo, body: bytes) -> DeleteOptions:
    """From the body when there is one, else from the query.

    Raises:
        BadRequest: The body is no JSON, a number is none.
        Invalid: Options that contradict one another.
    """
    if body:
        options = _from_body(body)
    elif any(name in info.query for name in _DELETE_PARAMETERS):
        options = DeleteOptions(
            gracePeriodSeconds=integer(info.query, "gracePeriodSeconds"), orphanDependents=boolean(info.query, "orphanDependents"),
            propagationPolicy=first(info.query, "propagationPolicy") or None, dryRun=list(info.query.get("dryRun", [])))
    else:
        return DeleteOptions()
    validate_options(options)
    return options


def _from_body(body: bytes) -> DeleteOptions:
    try:
        options = codec.decode(DeleteOptions, body)
    except (codec.DecodeError, UnicodeDecodeError, RecursionError):
        return _walked(body)
    return options if options.kind in ("", "DeleteOptions") and options.apiVersion.count("/") <= 1 else _walked(body)


def _walked(body: bytes) -> DeleteOptions:
    """What is not plainly such options: they may be with what Go leaves out, or there are words for what is wrong."""
    try:
        value = codec.loads(body)
    except codec.DecodeError:
        raise BadRequest(f"couldn't get version/kind; json parse error: {jsonsyntax.explain(body)}") from None
    if value is None:
        return DeleteOptions()
    if not isinstance(value, dict):
        raise BadRequest("couldn't get version/kind; json parse error: json: cannot unmarshal "
                         f"{go_type(value)} into Go value of type struct {{ APIVersion string \"json:\\\"apiVersion,omitempty\\\"\"; "
                         "Kind string \"json:\\\"kind,omitempty\\\"\" }")
    _check_kind(value)
    try:
        return codec.convert(DeleteOptions, strict.coerce_to(DeleteOptions, value)[0])
    except strict.Undecodable as error:
        raise BadRequest(str(error)) from None


def _check_kind(value: dict[str, Any]) -> None:
    """What calls itself something is DeleteOptions, of whatever group.

    Raises:
        BadRequest: It is not.
    """
    for name in ("apiVersion", "kind"):
        given = value.get(name)
        if given is not None and not isinstance(given, str):
            raise BadRequest(f"couldn't get version/kind; json parse error: json: cannot unmarshal {go_type(given)} into "
                             f"Go struct field .{name} of type string")
    version, kind = value.get("apiVersion") or "", value.get("kind") or ""
    if version.count("/") > 1:
        raise BadRequest(f"unexpected GroupVersion string: {version}")
    if kind not in ("", "DeleteOptions"):
        raise BadRequest(f'no kind "{kind}" is registered for version "{version or f"{GROUP}/v1"}" in scheme "pkg/runtime/scheme.go:111"')


def go_type(value: Any) -> str:
    """What Go's decoder calls a JSON value."""
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, str):
        return "string"
    if isinstance(value, int | float):
        return "number"
    return "array" if isinstance(value, list) else "object"
