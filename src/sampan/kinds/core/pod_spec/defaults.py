"""Defaults of a pod spec, for pods and templates alike."""

from __future__ import annotations

from sampan.api.core.v1 import PersistentVolumeClaimSpec, PodSpec, PodTemplateSpec


def default_pod_template(template: PodTemplateSpec) -> None:
    """Fill a template (its spec) in place. Idempotent."""
    default_pod_spec(template.spec)


def default_pod_spec(spec: PodSpec) -> None:
    """Fill a pod's spec in place; what only pods get (not templates) is `sampan.kinds.core.pod`'s."""


def default_claim_spec(spec: PersistentVolumeClaimSpec) -> None:
    """Fill a claim's spec in place (claims, volume claim templates, ephemeral volumes)."""
