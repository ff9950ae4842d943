"""ResourceClaimTemplate: what claims that are made for pods look like. Immutable.

Source: kubernetes `pkg/apis/resource/validation/validation.go`.
"""

from __future__ import annotations

from typing import Any

from sampan.api import field
from sampan.api.resource.v1 import ResourceClaimTemplate, ResourceClaimTemplateSpec
from sampan.api.resources import RESOURCE_CLAIM_TEMPLATES
from sampan.kinds.checks import Findings
from sampan.kinds.core.internal import internal
from sampan.kinds.core.pod_spec.claims import template_metadata
from sampan.kinds.kind import Column, Kind
from sampan.kinds.printing import age
from sampan.kinds.resource import devices


def default(obj: ResourceClaimTemplate) -> None:
    devices.default_claim(obj.spec.spec.devices)


def validate(obj: ResourceClaimTemplate) -> Findings:
    out: Findings = []
    template_metadata(out, obj.spec.metadata, "spec.metadata")
    return out + devices.validate_claim(obj.spec.spec.devices, "spec.spec.devices")


def validate_update(new: ResourceClaimTemplate, old: ResourceClaimTemplate) -> Findings:
    return [] if new.spec == old.spec else [field.invalid("spec", _shown(new.spec), field.IMMUTABLE)]


def _shown(spec: ResourceClaimTemplateSpec) -> dict[str, Any]:
    """Metadata is embedded: its fields are the spec's."""
    shown: dict[str, Any] = internal(spec)
    return {**shown.pop("Metadata"), **shown}


KIND: Kind[ResourceClaimTemplate] = Kind(
    resource=RESOURCE_CLAIM_TEMPLATES,
    metadata="both",
    default=default,
    validate=validate,
    validate_update=validate_update,
    columns=(Column("Name", lambda obj, _: obj.metadata.name, format="name"), Column("Age", age)),
)
