"""Validation of a whole pod spec or template: calls the themes and checks what stands between them."""

from __future__ import annotations

from sampan.api.core.v1 import PodSpec, PodTemplateSpec
from sampan.api.errors import FieldError
from sampan.api.meta.v1 import ObjectMeta


def validate_pod_template(template: PodTemplateSpec, path: str, old: PodTemplateSpec | None = None) -> list[FieldError]:
    """All findings about a template (labels, annotations, spec) at `path`, e.g. `spec.template`.

    `old`, where given, allows values that were stored before they became invalid.
    """
    return []


def validate_pod_spec(spec: PodSpec, path: str, metadata: ObjectMeta | None = None) -> list[FieldError]:
    """All findings about a pod spec; `metadata` is the pod's own, None within a template."""
    return []
