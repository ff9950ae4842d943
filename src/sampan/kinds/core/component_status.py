"""ComponentStatuses: read only, made up when asked for. Source: kubernetes `pkg/registry/core/componentstatus`."""

from __future__ import annotations

from sampan.api.core.v1 import ComponentCondition, ComponentStatus
from sampan.api.resources import COMPONENT_STATUSES
from sampan.kinds.kind import Column, Kind
from sampan.kinds.meta import condition


def _healthy(status: ComponentStatus) -> ComponentCondition:
    return condition(status.conditions, "Healthy") or ComponentCondition(status="Unknown")


_WORDS = {"True": "Healthy", "Unknown": "Unknown"}

KIND: Kind[ComponentStatus] = Kind(
    resource=COMPONENT_STATUSES,
    columns=(
        Column("Name", lambda status, _: status.metadata.name, format="name"),
        Column("Status", lambda status, _: _WORDS.get(_healthy(status).status, "Unhealthy")),
        Column("Message", lambda status, _: _healthy(status).message),
        Column("Error", lambda status, _: _healthy(status).error),
    ),
    deprecation="v1 ComponentStatus is deprecated in v1.19+",
)
