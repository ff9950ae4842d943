"""Bindings: a pod is given its node. They are written, never stored. Source: kubernetes `ValidatePodBinding`."""

from __future__ import annotations

from sampan.api import field
from sampan.api.core.v1 import Binding
from sampan.api.errors import FieldError
from sampan.api.resources import BINDINGS
from sampan.kinds.kind import Kind


def validate(binding: Binding) -> list[FieldError]:
    """It names a node."""
    errors = []
    if binding.target.kind not in ("", "Node"):
        errors.append(field.not_supported("target.kind", binding.target.kind, ("Node", "<empty>")))
    if not binding.target.name:
        errors.append(field.required("target.name"))
    return errors


KIND: Kind[Binding] = Kind(resource=BINDINGS, validate=validate)
