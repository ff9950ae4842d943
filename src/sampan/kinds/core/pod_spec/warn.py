"""Warnings about a pod spec: deprecated fields and doubtful values."""

from __future__ import annotations

from sampan.api.core.v1 import PodTemplateSpec


def pod_spec_warnings(template: PodTemplateSpec, path: str, old: PodTemplateSpec | None = None) -> list[str]:
    """Texts for `Warning` headers about a template at `path` (e.g. `spec.template`)."""
    return []
