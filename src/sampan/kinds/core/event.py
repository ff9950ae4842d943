"""Events of the core group. Source: kubernetes `pkg/apis/core/validation/events.go`, `pkg/registry/core/event`."""

from __future__ import annotations

from datetime import datetime

from sampan.api import field, names
from sampan.api.core.v1 import Event
from sampan.api.errors import FieldError
from sampan.api.resources import EVENTS
from sampan.kinds.kind import Column, Kind
from sampan.kinds.printing import since

TTL_SECONDS = 3600.0


def validate(event: Event) -> list[FieldError]:
    """The event lives where its object does; one with an `eventTime` is held to the newer form's rules."""
    namespace, about = event.metadata.namespace, event.involvedObject.namespace
    if event.eventTime is not None:
        elsewhere = not about and namespace not in ("default", "kube-system")
    else:
        elsewhere = about != namespace and (bool(about) or namespace not in ("", "default"))
    errors = [field.invalid("involvedObject.namespace", about, "does not match event.namespace")] if elsewhere else []
    if event.eventTime is not None:
        _newer_form(errors, event)
    return errors + field.invalid_each("namespace", namespace, names.dns1123_subdomain(namespace))


def _newer_form(errors: list[FieldError], event: Event) -> None:
    if not event.reportingComponent:
        errors.append(field.required("reportingComponent"))
    errors += field.invalid_each("reportingComponent", event.reportingComponent, names.qualified_name(event.reportingComponent))
    for name in ("reportingInstance", "action", "reason"):
        value: str = getattr(event, name)
        if not value:
            errors.append(field.required(name))
        elif len(value.encode()) > 128:
            errors.append(field.invalid(name, "", "can have at most 128 characters"))
    if len(event.message.encode()) > 1024:
        errors.append(field.invalid("message", "", "can have at most 1024 characters"))


def _first_seen(event: Event, now: datetime) -> str:
    return since(event.firstTimestamp or event.eventTime, now)


def _last_seen(event: Event, now: datetime) -> str:
    if event.series is not None:
        return since(event.series.lastObservedTime, now)
    return since(event.lastTimestamp, now) if event.lastTimestamp else _first_seen(event, now)


def _count(event: Event, _: datetime) -> int:
    return event.series.count if event.series is not None else event.count or 1


def _object(event: Event, _: datetime) -> str:
    kind = event.involvedObject.kind.lower()
    return f"{kind}/{event.involvedObject.name}" if event.involvedObject.name else kind


def _source(event: Event, _: datetime) -> str:
    component = event.source.component or event.reportingComponent
    instance = event.source.host or event.reportingInstance
    return f"{component}, {instance}" if instance else component


KIND: Kind[Event] = Kind(
    resource=EVENTS,
    dependents="keep",
    metadata="none",
    validate=validate,
    name_check=names.path_segment_name,
    columns=(
        Column("Last Seen", _last_seen),
        Column("Type", lambda event, _: event.type),
        Column("Reason", lambda event, _: event.reason),
        Column("Object", _object),
        Column("Subobject", lambda event, _: event.involvedObject.fieldPath, priority=1),
        Column("Source", _source, priority=1),
        Column("Message", lambda event, _: event.message.strip()),
        Column("First Seen", _first_seen, priority=1),
        Column("Count", _count, priority=1),
        Column("Name", lambda event, _: event.metadata.name, format="name", priority=1),
    ),
    fields={
        "involvedObject.kind": lambda event: event.involvedObject.kind,
        "involvedObject.namespace": lambda event: event.involvedObject.namespace,
        "involvedObject.name": lambda event: event.involvedObject.name,
        "involvedObject.uid": lambda event: event.involvedObject.uid,
        "involvedObject.apiVersion": lambda event: event.involvedObject.apiVersion,
        "involvedObject.resourceVersion": lambda event: event.involvedObject.resourceVersion,
        "involvedObject.fieldPath": lambda event: event.involvedObject.fieldPath,
        "reason": lambda event: event.reason,
        "reportingComponent": lambda event: event.reportingComponent,
        "source": lambda event: event.source.component or event.reportingComponent,
        "type": lambda event: event.type,
    },
    allow_create_on_update=True,
    ttl_seconds=TTL_SECONDS,
)
