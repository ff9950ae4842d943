"""Event of events.k8s.io/v1: the newer form of the core group's Event, which is what is stored.

Owns the conversion between the two forms, and what only the newer form is held to.
Source: kubernetes `pkg/apis/events/v1/conversion.go`, `pkg/apis/core/validation/events.go`.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from sampan.api import field, names
from sampan.api.core import v1 as core
from sampan.api.events import v1 as events
from sampan.api.resources import EVENTS_EVENTS
from sampan.kinds import checks
from sampan.kinds.checks import Findings
from sampan.kinds.core.internal import internal
from sampan.kinds.kind import Column, Kind
from sampan.kinds.printing import since

CORE_VERSION, CORE_KIND = "v1", "Event"
VERSION = "events.k8s.io/v1"
TTL_SECONDS = 3600.0
MAX_BYTES = 128
# `reason` stands twice in upstream's list, so a change of it is told twice
_FIXED = ("regarding", "reason", "note", "deprecatedSource", "deprecatedFirstTimestamp", "deprecatedLastTimestamp",
          "deprecatedCount", "reason", "type", "eventTime", "action", "related", "reportingController", "reportingInstance")


def to_core(event: events.Event) -> core.Event:
    """The stored form. Shares what is below with `event`: change neither."""
    was = event.series
    series = core.EventSeries(count=was.count, lastObservedTime=was.lastObservedTime) if was is not None else None
    return core.Event(
        kind=CORE_KIND, apiVersion=CORE_VERSION, metadata=event.metadata, involvedObject=event.regarding,
        reason=event.reason, message=event.note, source=event.deprecatedSource,
        firstTimestamp=event.deprecatedFirstTimestamp, lastTimestamp=event.deprecatedLastTimestamp,
        count=event.deprecatedCount, type=event.type, eventTime=event.eventTime, series=series, action=event.action,
        related=event.related, reportingComponent=event.reportingController, reportingInstance=event.reportingInstance,
    )


def from_core(event: core.Event) -> events.Event:
    """The newer form of a stored event. Shares what is below with `event`: change neither."""
    was = event.series
    series = events.EventSeries(count=was.count, lastObservedTime=was.lastObservedTime) if was is not None else None
    return events.Event(
        kind=CORE_KIND, apiVersion=VERSION, metadata=event.metadata, regarding=event.involvedObject,
        reason=event.reason, note=event.message, deprecatedSource=event.source,
        deprecatedFirstTimestamp=event.firstTimestamp, deprecatedLastTimestamp=event.lastTimestamp,
        deprecatedCount=event.count, type=event.type, eventTime=event.eventTime, series=series, action=event.action,
        related=event.related, reportingController=event.reportingComponent, reportingInstance=event.reportingInstance,
    )


def validate(event: events.Event) -> Findings:
    """What events.k8s.io asks beyond the core group: who reports, what was done, and why."""
    out: Findings = []
    space, own = event.regarding.namespace, event.metadata.namespace
    # an event that has a time may be about what lives elsewhere
    if event.eventTime is not None:
        fits = space != "" or own in ("default", "kube-system")
    else:
        fits = space == own or (space == "" and own == "default")
    if not fits:
        out.append(field.invalid("involvedObject.namespace", space, "does not match event.namespace"))
    if event.eventTime is None:  # made through the core group
        return out
    if not event.reportingController:
        out.append(field.required("reportingController"))
    out += checks.named(event.reportingController, names.qualified_name, "reportingController")
    for name, value in (("reportingInstance", event.reportingInstance), ("action", event.action), ("reason", event.reason)):
        if not value:
            out.append(field.required(name))
        elif len(value.encode()) > MAX_BYTES:
            out.append(field.invalid(name, "", f"can have at most {MAX_BYTES} characters"))
    if len(event.note.encode()) > 1024:
        out.append(field.invalid("message", "", "can have at most 1024 characters"))
    return out


def _series(event: events.Event) -> Findings:
    out: Findings = []
    if event.series is not None:
        if event.series.count < 2:
            out.append(field.invalid("series.count", "", "should be at least 2"))
        if event.series.lastObservedTime is None:
            out.append(field.required("series.lastObservedTime"))
    return out


def validate_create(event: events.Event) -> Findings:
    """A new one must have its time and none of the core group's fields."""
    out = _series(event)
    if event.eventTime is None:
        out.append(field.required("eventTime"))
    if event.type not in ("Normal", "Warning"):
        out.append(field.invalid("type", "", f"has invalid value: {event.type}"))
    for name, empty in (("deprecatedFirstTimestamp", None), ("deprecatedLastTimestamp", None), ("deprecatedCount", 0),
                        ("deprecatedSource", core.EventSource())):
        if getattr(event, name) != empty:
            out.append(field.invalid(_CORE_NAMES[name], "", "needs to be unset"))
    return out


_CORE_NAMES = {"deprecatedFirstTimestamp": "firstTimestamp", "deprecatedLastTimestamp": "lastTimestamp",
               "deprecatedCount": "count", "deprecatedSource": "source", "regarding": "involvedObject", "note": "message"}


def validate_update(new: events.Event, old: events.Event) -> Findings:
    """Only the series moves."""
    out = _series(new) if new.series != old.series else []
    for name in _FIXED:
        now = getattr(new, name)
        if now != getattr(old, name):
            out.append(field.invalid(_CORE_NAMES.get(name, name), internal(now), field.IMMUTABLE))
    return out


def first_seen(event: events.Event, now: datetime) -> str:
    if event.deprecatedFirstTimestamp is None:
        return since(event.eventTime, now)
    return since(event.deprecatedFirstTimestamp, now)


def last_seen(event: events.Event, now: datetime) -> str:
    text = since(event.deprecatedLastTimestamp, now) if event.deprecatedLastTimestamp is not None else first_seen(event, now)
    return since(event.series.lastObservedTime, now) if event.series is not None else text


def _count(event: events.Event) -> int:
    if event.series is not None:
        return event.series.count
    return event.deprecatedCount or 1 if event.deprecatedCount or event.eventTime else event.deprecatedCount


def _object(event: events.Event) -> str:
    ref = event.regarding
    return f"{ref.kind.lower()}/{ref.name}" if ref.name else ref.kind.lower()


def _source(event: events.Event) -> str:
    component = event.deprecatedSource.component or event.reportingController
    host = event.deprecatedSource.host
    instance = event.reportingInstance if not event.deprecatedSource.component else ""
    return ", ".join(part for part in (component, host or instance) if part)


FIELDS: dict[str, Callable[[events.Event], str]] = {
    "regarding.kind": lambda event: event.regarding.kind,
    "regarding.namespace": lambda event: event.regarding.namespace,
    "regarding.name": lambda event: event.regarding.name,
    "regarding.uid": lambda event: event.regarding.uid,
    "regarding.apiVersion": lambda event: event.regarding.apiVersion,
    "regarding.resourceVersion": lambda event: event.regarding.resourceVersion,
    "regarding.fieldPath": lambda event: event.regarding.fieldPath,
    "reason": lambda event: event.reason,
    "reportingController": lambda event: event.reportingController,
    "type": lambda event: event.type,
}

KIND: Kind[events.Event] = Kind(
    resource=EVENTS_EVENTS,
    validate=validate,
    validate_create=validate_create,
    validate_update=validate_update,
    columns=(
        Column("Last Seen", last_seen),
        Column("Type", lambda event, _: event.type),
        Column("Reason", lambda event, _: event.reason),
        Column("Object", lambda event, _: _object(event)),
        Column("Subobject", lambda event, _: event.regarding.fieldPath, priority=1),
        Column("Source", lambda event, _: _source(event), priority=1),
        Column("Message", lambda event, _: event.note.strip()),
        Column("First Seen", first_seen, priority=1),
        Column("Count", lambda event, _: _count(event), priority=1),
        Column("Name", lambda event, _: event.metadata.name, format="name", priority=1),
    ),
    fields=FIELDS,
    allow_create_on_update=True,
    ttl_seconds=TTL_SECONDS,
)
