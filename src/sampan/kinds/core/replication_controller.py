"""ReplicationControllers. Source: kubernetes `pkg/registry/core/replicationcontroller`, `pkg/apis/core/validation`."""

from __future__ import annotations

from sampan.api import field, goprint, names
from sampan.api.core.v1 import ReplicationController, ReplicationControllerStatus
from sampan.api.errors import FieldError
from sampan.api.resources import REPLICATION_CONTROLLERS
from sampan.kinds import checks
from sampan.kinds.core.pod_spec import default_pod_template, pod_spec_warnings, validate_pod_template
from sampan.kinds.kind import Column, Kind, ScalePaths, SubKind
from sampan.kinds.meta import bump_generation, keep_spec
from sampan.kinds.printing import age, container_images, container_names, labels_text

_COUNTS = ("replicas", "fullyLabeledReplicas", "readyReplicas", "availableReplicas", "observedGeneration")


def default(controller: ReplicationController) -> None:
    """Selector and labels are the template's unless said otherwise."""
    spec = controller.spec
    if spec.replicas is None:
        spec.replicas = 1
    if spec.template is None:
        return
    default_pod_template(spec.template)
    if labels := spec.template.metadata.labels:
        spec.selector = spec.selector or dict(labels)
        controller.metadata.labels = controller.metadata.labels or dict(labels)


def prepare_create(controller: ReplicationController) -> None:
    controller.status = ReplicationControllerStatus()
    controller.metadata.generation = 1


def prepare_update(new: ReplicationController, old: ReplicationController) -> None:
    new.status = old.status
    bump_generation(new, old)


def validate(controller: ReplicationController) -> list[FieldError]:
    """All findings."""
    spec, path = controller.spec, "spec.template"
    errors = checks.nonnegative(spec.minReadySeconds, "spec.minReadySeconds")
    if not spec.selector:
        errors.append(field.required("spec.selector"))
    errors += checks.nonnegative(spec.replicas, "spec.replicas")
    template = spec.template
    if template is None:
        errors.append(field.required(path))
        return errors
    if spec.selector.items() - template.metadata.labels.items():
        errors.append(field.invalid(f"{path}.metadata.labels", goprint.ordered(template.metadata.labels) or None,
                                    "`selector` does not match template `labels`"))
    errors += validate_pod_template(template, path)
    if template.spec.restartPolicy != "Always":
        errors.append(field.not_supported(f"{path}.spec.restartPolicy", template.spec.restartPolicy, ("Always",)))
    if template.spec.activeDeadlineSeconds is not None:
        errors.append(field.forbidden(f"{path}.spec.activeDeadlineSeconds",
                                      "activeDeadlineSeconds in ReplicationController is not Supported"))
    return errors


def validate_status(new: ReplicationController, _: ReplicationController) -> list[FieldError]:
    """Counts that can be."""
    status = new.status
    errors = checks.all_nonnegative(status, "status", *_COUNTS)
    errors += [field.invalid(f"status.{name}", getattr(status, name), "cannot be greater than status.replicas")
               for name in _COUNTS[1:4] if getattr(status, name) > status.replicas]
    if status.availableReplicas > status.readyReplicas:
        errors.append(field.invalid("status.availableReplicas", status.availableReplicas, "cannot be greater than readyReplicas"))
    return errors


def warnings(new: ReplicationController, old: ReplicationController | None) -> list[str]:
    """Those of its template, and of a name that pods cannot have as a host name."""
    found = []
    if old is None and (messages := names.dns1123_label(new.metadata.name)):
        found.append("metadata.name: this is used in Pod names and hostnames, which can result in surprising behavior; "
                     f"a DNS label is recommended: [{' '.join(messages)}]")
    if new.spec.template is not None and (old is None or new.metadata.generation != old.metadata.generation):
        template = new.spec.template if old is None else old.spec.template  # so upstream: those of the old one on an update
        found += pod_spec_warnings(template, "spec.template") if template is not None else []
    return found


def _set_replicas(controller: ReplicationController, replicas: int) -> None:
    controller.spec.replicas = replicas


def _containers(controller: ReplicationController) -> list[object]:
    template = controller.spec.template
    return list(template.spec.containers or ()) if template is not None else []


KIND: Kind[ReplicationController] = Kind(
    resource=REPLICATION_CONTROLLERS,
    dependents="orphan",
    default=default,
    prepare_create=prepare_create,
    prepare_update=prepare_update,
    validate=validate,
    subkinds=(SubKind("status", keep_spec, validate_status),),
    scale=ScalePaths(
        replicas=lambda controller: controller.spec.replicas or 0,
        set_replicas=_set_replicas,
        status_replicas=lambda controller: controller.status.replicas,
        selector=lambda controller: ",".join(f"{key}={value}" for key, value in sorted(controller.spec.selector.items())),
    ),
    columns=(
        Column("Name", lambda controller, _: controller.metadata.name, format="name"),
        Column("Desired", lambda controller, _: controller.spec.replicas or 0, type="integer"),
        Column("Current", lambda controller, _: controller.status.replicas, type="integer"),
        Column("Ready", lambda controller, _: controller.status.readyReplicas, type="integer"),
        Column("Age", age),
        Column("Containers", lambda controller, _: container_names(_containers(controller)), priority=1),
        Column("Images", lambda controller, _: container_images(_containers(controller)), priority=1),
        Column("Selector", lambda controller, _: labels_text(controller.spec.selector), priority=1),
    ),
    fields={"status.replicas": lambda controller: str(controller.status.replicas)},
    warnings=warnings,
)
