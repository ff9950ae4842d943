"""PodTemplates. Source: kubernetes `pkg/registry/core/podtemplate`."""

from __future__ import annotations

from sampan.api.core.v1 import PodTemplate
from sampan.api.errors import FieldError
from sampan.api.resources import POD_TEMPLATES
from sampan.kinds.core.pod_spec import default_pod_template, pod_spec_warnings, validate_pod_template
from sampan.kinds.kind import Column, Kind
from sampan.kinds.meta import first_generation
from sampan.kinds.printing import container_images, container_names, labels_text


def default(template: PodTemplate) -> None:
    default_pod_template(template.template)


def prepare_update(new: PodTemplate, old: PodTemplate) -> None:
    """The generation follows the template."""
    new.metadata.generation = old.metadata.generation + (new.template != old.template)


def validate(template: PodTemplate) -> list[FieldError]:
    return validate_pod_template(template.template, "template")


def warnings(new: PodTemplate, old: PodTemplate | None) -> list[str]:
    """Those of the template when it changed."""
    if old is not None and new.metadata.generation == old.metadata.generation:
        return []
    return pod_spec_warnings(new.template, "template", old.template if old is not None else None)


KIND: Kind[PodTemplate] = Kind(
    resource=POD_TEMPLATES,
    default=default,
    prepare_create=first_generation,
    prepare_update=prepare_update,
    validate=validate,
    columns=(
        Column("Name", lambda template, _: template.metadata.name, format="name"),
        Column("Containers", lambda template, _: container_names(template.template.spec.containers)),
        Column("Images", lambda template, _: container_images(template.template.spec.containers)),
        Column("Pod Labels", lambda template, _: labels_text(template.template.metadata.labels)),
    ),
    warnings=warnings,
)
