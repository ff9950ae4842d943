"""ResourceClaimTemplate: what claims that are made for pods look like. Immutable.

Source: kubernetes `pkg/apis/resource/validation/validation.go`.
"""

from __future__ import annotations

from sampan.api import field
from sampan.api.resource.v1 import ResourceClaimTemplate
from sampan.api.resources import RESOURCE_CLAIM_TEMPLATES
from sampan.kinds import label_selectors
from sampan.kinds.checks import Findings
from sampan.kinds.kind import Column, Kind
from sampan.kinds.printing import age
from sampan.kinds.resource import devices


def default(obj: ResourceClaimTemplate) -> None:
    devices.default_claim(obj.spec.spec.devices)


def validate(obj: ResourceClaimTemplate) -> Findings:
    out: Findings = []
    label_selectors.labels(out, obj.spec.metadata.labels, "spec.metadata.labels")
    return out + devices.validate_claim(obj.spec.spec.devices, "spec.spec.devices")


def validate_update(new: ResourceClaimTemplate, old: ResourceClaimTemplate) -> Findings:
    return field.immutable(new.spec, old.spec, "spec")


KIND: Kind[ResourceClaimTemplate] = Kind(
    resource=RESOURCE_CLAIM_TEMPLATES,
    metadata="both",
    default=default,
    validate=validate,
    validate_update=validate_update,
    columns=(Column("Name", lambda obj, _: obj.metadata.name, format="name"), Column("Age", age)),
)
