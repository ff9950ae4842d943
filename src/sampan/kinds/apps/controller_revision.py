"""ControllerRevision: what a DaemonSet's or StatefulSet's template once was. Immutable.

Source: kubernetes `pkg/apis/apps/validation/validation.go`.
"""

from __future__ import annotations

from datetime import datetime

from sampan.api import field
from sampan.api.apps.v1 import ControllerRevision
from sampan.api.resources import CONTROLLER_REVISIONS
from sampan.kinds import checks
from sampan.kinds.apps.workload import NAME_COLUMN
from sampan.kinds.checks import Findings
from sampan.kinds.kind import Column, Kind
from sampan.kinds.printing import age


def validate(obj: ControllerRevision) -> Findings:
    return checks.nonnegative(obj.revision, "revision")


def validate_create(obj: ControllerRevision) -> Findings:
    if obj.data is None:
        return [field.required("data", "data is mandatory")]
    return [] if isinstance(obj.data, dict) else [field.required("data", "data must be a valid JSON object")]


def validate_update(new: ControllerRevision, old: ControllerRevision) -> Findings:
    return field.immutable(new.data, old.data, "data")


def _controller(obj: ControllerRevision, _: datetime) -> str:
    owner = next((one for one in obj.metadata.ownerReferences if one.controller), None)
    if owner is None:
        return "<none>"
    group = owner.apiVersion.partition("/")[0] if "/" in owner.apiVersion else ""
    kind = owner.kind.lower()
    return f"{kind}.{group}/{owner.name}" if group else f"{kind}/{owner.name}"


KIND: Kind[ControllerRevision] = Kind(
    resource=CONTROLLER_REVISIONS,
    metadata="both",
    validate=validate,
    validate_create=validate_create,
    validate_update=validate_update,
    columns=(
        NAME_COLUMN,
        Column("Controller", _controller),
        Column("Revision", lambda obj, _: obj.revision),
        Column("Age", age),
    ),
)
