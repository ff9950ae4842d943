"""Nodes: the kind, and what the scheduler and the controllers ask about a node.

Source: kubernetes `pkg/registry/core/node`, `pkg/apis/core/validation` (`ValidateNode`), `pkg/printers`.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from sampan.api import addresses, field, goprint, names
from sampan.api.core.v1 import Node, NodeCondition, Taint
from sampan.api.errors import FieldError
from sampan.api.resources import NODES
from sampan.kinds.core.pod import amounts
from sampan.kinds.core.pod_spec import resources
from sampan.kinds.core.pod_spec.defaults import round_up
from sampan.kinds.core.pod_spec.scheduling import taint_effect
from sampan.kinds.kind import Column, Kind, SubKind
from sampan.kinds.meta import condition, is_true
from sampan.kinds.printing import NONE, UNKNOWN, age, joined

_ROLE_PREFIX = "node-role.kubernetes.io/"
_ROLE = "kubernetes.io/role"
_MOST_FEATURE_BYTES = 253
_FEATURE = re.compile(r"[A-Z][a-zA-Z0-9]*(/[a-zA-Z][a-zA-Z0-9]*)*")
_FEATURE_WORDS = ("must start with an UpperCamelCase segment, with subsequent segments separated by '/' (e.g., MyFeature or "
                  "MyFeature/mySubFeature), and contain only alphanumeric characters and slashes")


# -- questions ----------------------------------------------------------------------------------------------------------


def allocatable(node: Node) -> dict[str, int]:
    """What pods may have of it: milli-CPU, bytes, counts."""
    return amounts(node.status.allocatable or node.status.capacity)


def is_ready(node: Node) -> bool:
    """Its condition Ready is True."""
    return is_true(node.status.conditions, "Ready")


def ready_condition(node: Node) -> NodeCondition | None:
    """Its condition Ready, if it ever said so."""
    return condition(node.status.conditions, "Ready")


def taints(node: Node, *effects: str) -> list[Taint]:
    """Its taints, of these effects or all."""
    return [one for one in node.spec.taints if not effects or one.effect in effects]


def address(node: Node, type: str = "InternalIP") -> str:
    """Its first address of that type, or ""."""
    return next((one.address for one in node.status.addresses if one.type == type), "")


def roles(node: Node) -> list[str]:
    """The roles that its labels name, sorted."""
    found = {key.removeprefix(_ROLE_PREFIX) for key in node.metadata.labels if key.startswith(_ROLE_PREFIX)}
    found.add(node.metadata.labels.get(_ROLE, ""))
    return sorted(found - {""})


# -- the kind -----------------------------------------------------------------------------------------------------------


def default(node: Node) -> None:
    """Fill what was left out, in place."""
    status, spec = node.status, node.spec
    if not status.allocatable and status.capacity:
        status.allocatable = dict(status.capacity)
    round_up(status.capacity)
    round_up(status.allocatable)
    if spec.podCIDR and (not spec.podCIDRs or spec.podCIDRs[0] != spec.podCIDR):
        spec.podCIDRs = [spec.podCIDR]
    elif spec.podCIDRs:
        spec.podCIDR = spec.podCIDRs[0]


def prepare_create(node: Node) -> None:
    """A node may bring its status along; the configuration source of old kubelets is gone."""
    node.spec.configSource = None
    node.status.config = None


def prepare_update(new: Node, old: Node) -> None:
    new.status = old.status
    if old.spec.configSource is None:
        new.spec.configSource = None


def prepare_status(new: Node, old: Node) -> None:
    new.spec = old.spec
    if old.status.config is None:
        new.status.config = None


def validate(node: Node, old: Node | None = None) -> list[FieldError]:
    """All findings about a node, new or changed; ranges that the `old` one has pass as they are."""
    errors: list[FieldError] = []
    _taints(errors, node.spec.taints)
    _resources(errors, node)
    swap = node.status.nodeInfo.swap
    if swap is not None and swap.capacity is not None and swap.capacity <= 0:
        errors.append(field.invalid("metadata.nodeSwapStatus.capacity", swap.capacity, "must be greater than zero"))
    _declared_features(errors, node.status.declaredFeatures)
    ranges, known = node.spec.podCIDRs, old.spec.podCIDRs if old is not None else []
    for index, value in enumerate(ranges):
        errors += addresses.cidr_for_legacy_field(f"spec.podCIDRs[{index}]", value, old=known)
    if len(ranges) > 2 or (len(ranges) > 1 and len({":" in value for value in ranges}) < 2):
        errors.append(field.invalid("spec.podCIDRs", ranges, "may specify no more than one CIDR for each IP family"))
    return errors


def _declared_features(errors: list[FieldError], features: list[str]) -> None:
    """Sorted, each once, each a name in parts."""
    for index, name in enumerate(features):
        path = f"status.declaredFeatures[{index}]"
        if index and name == features[index - 1]:
            errors.append(field.duplicate(path, name))
        elif index and name < features[index - 1]:
            errors.append(field.invalid(path, name, "list must be sorted alphabetically"))
        shown = f"invalid feature name {goprint.quote(name)}: "
        if len(name.encode()) > _MOST_FEATURE_BYTES:
            errors.append(field.invalid(path, name, f"{shown}must be no more than {_MOST_FEATURE_BYTES} characters"))
        elif not _FEATURE.fullmatch(name):
            errors.append(field.invalid(path, name, shown + _FEATURE_WORDS))


def _taints(errors: list[FieldError], wanted: list[Taint]) -> None:
    seen: set[tuple[str, str]] = set()
    for index, one in enumerate(wanted):
        path = f"metadata.taints[{index}]"
        errors += field.invalid_each(f"{path}.key", one.key, names.qualified_name(one.key))
        if messages := names.label_value(one.value):
            errors.append(field.invalid(f"{path}.value", one.value, ";".join(messages)))
        if one.effect:
            taint_effect(errors, one.effect, f"{path}.effect")
        else:
            errors.append(field.required(f"{path}.effect"))
        if (one.key, one.effect) in seen:
            shown = {"Key": one.key, "Value": one.value, "Effect": one.effect, "TimeAdded": one.timeAdded}
            twice = field.duplicate(path, shown)
            errors.append(FieldError(twice.reason, path, f"{twice.detail}: taints must be unique by key and effect pair"))
        seen.add((one.key, one.effect))


def _resources(errors: list[FieldError], node: Node) -> None:
    for name, amount in node.status.capacity.items():
        resources.amount(errors, name, amount, f"status.capacity.{name}")
    for name, amount in node.status.allocatable.items():
        resources.amount(errors, name, amount, f"status.allocatable.{name}")


def validate_update(new: Node, old: Node) -> list[FieldError]:
    return [*validate(new, old), *validate_change(new, old)]


def validate_change(new: Node, old: Node) -> list[FieldError]:
    """Pod ranges and the provider's id are set once. Amounts and taints are looked at again, as upstream does."""
    errors: list[FieldError] = []
    _resources(errors, new)
    _declared_features(errors, new.status.declaredFeatures)
    seen: set[tuple[str, str]] = set()
    for index, one in enumerate(new.status.addresses):
        if (one.type, one.address) in seen:
            errors.append(field.duplicate(f"status.addresses[{index}]", {"Type": one.type, "Address": one.address}))
        seen.add((one.type, one.address))
    if old.spec.podCIDRs:
        detail = 'node updates may not change podCIDR except from "" to valid'
        if len(old.spec.podCIDRs) != len(new.spec.podCIDRs):
            errors.append(field.forbidden("spec.podCIDRs", detail))
        else:
            errors += [field.forbidden("spec.podCIDRs", detail)
                       for was, now in zip(old.spec.podCIDRs, new.spec.podCIDRs, strict=True) if was != now]
    if old.spec.providerID and old.spec.providerID != new.spec.providerID:
        errors.append(field.forbidden("spec.providerID", 'node updates may not change providerID except from "" to valid'))
    _taints(errors, new.spec.taints)
    if new.spec.externalID != old.spec.externalID:
        errors.append(field.forbidden("spec.externalID", "may not be updated"))
    return errors


def warnings(node: Node, _: Node | None) -> list[str]:
    """Fields that mean nothing any more, ranges that are written oddly."""
    found = ["spec.configSource: the feature is removed"] if node.spec.configSource is not None else []
    if node.spec.externalID:
        found.append("spec.externalID: this field is deprecated, and is unused by Kubernetes")
    return found + [warning for index, value in enumerate(node.spec.podCIDRs)
                    for warning in addresses.cidr_warnings(f"spec.podCIDRs[{index}]", value)]


def _status(node: Node, _: datetime) -> str:
    ready = ready_condition(node)
    shown = "Unknown" if ready is None else "Ready" if ready.status == "True" else "NotReady"
    return f"{shown},SchedulingDisabled" if node.spec.unschedulable else shown


def _kernel(node: Node, _: datetime) -> str:
    info = node.status.nodeInfo
    shown = info.kernelVersion or UNKNOWN
    return f"{shown} ({info.architecture})" if info.architecture else shown


def _info(name: str) -> Any:
    return lambda node, _: getattr(node.status.nodeInfo, name) or UNKNOWN


KIND: Kind[Node] = Kind(
    resource=NODES,
    metadata="both",
    default=default,
    prepare_create=prepare_create,
    prepare_update=prepare_update,
    validate_create=validate,
    validate_update=validate_update,
    subkinds=(SubKind("status", prepare_status, validate_change),),
    columns=(
        Column("Name", lambda node, _: node.metadata.name, format="name"),
        Column("Status", _status),
        Column("Roles", lambda node, _: joined(roles(node))),
        Column("Age", age),
        Column("Version", lambda node, _: node.status.nodeInfo.kubeletVersion),
        Column("Internal-IP", lambda node, _: address(node) or NONE, priority=1),
        Column("External-IP", lambda node, _: address(node, "ExternalIP") or NONE, priority=1),
        Column("OS-Image", _info("osImage"), priority=1),
        Column("Kernel-Version", _kernel, priority=1),
        Column("Container-Runtime", _info("containerRuntimeVersion"), priority=1),
    ),
    fields={"spec.unschedulable": lambda node: "true" if node.spec.unschedulable else "false"},
    warnings=warnings,
)
