"""What the workload kinds have in common: selector against template, status counts, columns of containers.

Source: kubernetes `pkg/apis/apps/validation/validation.go`.
"""

from __future__ import annotations

from typing import Any

from sampan.api import field, goprint, names, selectors
from sampan.api.apps.v1 import DaemonSetUpdateStrategy, DeploymentStrategy
from sampan.api.core.v1 import PodTemplateSpec
from sampan.api.errors import FieldError
from sampan.api.meta.v1 import LabelSelector
from sampan.kinds import checks
from sampan.kinds.checks import Findings
from sampan.kinds.core.pod_spec import pod_spec_warnings, validate_pod_template
from sampan.kinds.kind import Column
from sampan.kinds.printing import container_images, container_names


def required_selector(selector: LabelSelector | None, kind: str) -> Findings:
    """A selector that is there, valid and selects something."""
    if selector is None:
        return [field.required("spec.selector")]
    out = checks.label_selector(selector, "spec.selector")
    if checks.is_empty_selector(selector):
        out.append(field.invalid("spec.selector", selector, f"empty selector is invalid for {kind}"))
    return out


def validate_selector_and_template(selector: LabelSelector | None, template: PodTemplateSpec, kind: str) -> Findings:
    """`spec.selector` and `spec.template` of a kind whose pods always restart; `kind` as in upstream's words."""
    out = required_selector(selector, kind)
    try:
        compiled = selectors.of_label_selector(selector)
    except selectors.SelectorError:
        return [*out, field.invalid("spec.selector", selector, "invalid label selector")]
    return out + mismatch(compiled, template) + validate_always_running(template, "ReplicaSet")


def mismatch(selector: selectors.Selector, template: PodTemplateSpec) -> Findings:
    """A selector that is not empty and does not select the template's pods."""
    labels = template.metadata.labels
    if selector.empty or selector.matches(labels):
        return []
    return [mismatched(labels)]


def mismatched(labels: dict[str, str]) -> FieldError:
    """What is said where a selector does not select the pods with these labels."""
    return field.invalid("spec.template.metadata.labels", goprint.ordered(labels) or None,
                         "`selector` does not match template `labels`")


def validate_always_running(template: PodTemplateSpec, kind: str) -> Findings:
    """The template itself, and that its pods never end by themselves; `kind` as in upstream's words."""
    return validate_pod_template(template, "spec.template") + never_ending(template, kind)


def never_ending(template: PodTemplateSpec, kind: str) -> Findings:
    """Pods that restart always and have no deadline."""
    out: Findings = []
    if template.spec.restartPolicy and template.spec.restartPolicy != "Always":
        out.append(field.not_supported("spec.template.spec.restartPolicy", template.spec.restartPolicy, ("Always",)))
    if template.spec.activeDeadlineSeconds is not None:
        out.append(field.forbidden("spec.template.spec.activeDeadlineSeconds",
                                   f"activeDeadlineSeconds in {kind} is not Supported"))
    return out


def shown_strategy(strategy: DeploymentStrategy | DaemonSetUpdateStrategy) -> dict[str, Any]:
    """A strategy as messages show it: under Go's names, a number that is not there as 0."""
    rolling = strategy.rollingUpdate
    return {"Type": strategy.type, "RollingUpdate": rolling and {"MaxUnavailable": rolling.maxUnavailable or 0,
                                                                "MaxSurge": rolling.maxSurge or 0}}


def changed_template_warnings(new: Any, old: Any) -> list[str]:
    """Those about the pods of a workload that is new or whose generation moved."""
    if old is not None and new.metadata.generation == old.metadata.generation:
        return []
    return pod_spec_warnings(new.spec.template, "spec.template", old.spec.template if old is not None else None)


def at_most(status: Any, *smaller: str, bigger: str = "replicas", shown: str = "status.replicas") -> Findings:
    """Counts of a status that may not exceed another one."""
    limit = getattr(status, bigger)
    return [field.invalid(f"status.{name}", getattr(status, name), f"cannot be greater than {shown}")
            for name in smaller if getattr(status, name) > limit]


def collisions_only_grow(new: Any, old: Any) -> Findings:
    """`status.collisionCount` never goes down."""
    was, now = old.status.collisionCount, new.status.collisionCount
    if was is None or (now is not None and now >= was):
        return []
    return [field.invalid("status.collisionCount", now or 0, "cannot be decremented")]


def name_warnings(name: str) -> list[str]:
    """A name that makes no good host name."""
    messages = names.dns1123_label(name)
    if not messages:
        return []
    return ["metadata.name: this is used in Pod names and hostnames, which can result in surprising behavior; "
            f"a DNS label is recommended: [{' '.join(messages)}]"]


CONTAINER_COLUMNS: tuple[Column[Any], ...] = (
    Column("Containers", lambda obj, _: container_names(obj.spec.template.spec.containers), priority=1),
    Column("Images", lambda obj, _: container_images(obj.spec.template.spec.containers), priority=1),
)
SELECTOR_COLUMN: Column[Any] = Column("Selector", lambda obj, _: selectors.format_column(obj.spec.selector), priority=1)
NAME_COLUMN: Column[Any] = Column("Name", lambda obj, _: obj.metadata.name, format="name")
