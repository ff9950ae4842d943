"""ResourceQuotas. Source: kubernetes `pkg/apis/core/validation` (`ValidateResourceQuota`), `pkg/registry/core/resourcequota`."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sampan.api import field, quantity
from sampan.api.core.v1 import ResourceQuota, ResourceQuotaSpec, ResourceQuotaStatus
from sampan.api.errors import FieldError
from sampan.api.resources import RESOURCE_QUOTAS
from sampan.kinds.core.pod_spec import resources
from sampan.kinds.core.pod_spec.defaults import round_up
from sampan.kinds.kind import Column, Kind, SubKind
from sampan.kinds.printing import age

Errors = list[FieldError]

SCOPES = ("Terminating", "NotTerminating", "BestEffort", "NotBestEffort", "PriorityClass", "CrossNamespacePodAffinity",
          "VolumeAttributesClass")
_POD_RESOURCES = frozenset({"pods", "cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory"})
_CLAIM_RESOURCES = frozenset({"persistentvolumeclaims", "requests.storage"})
_EXISTS_ONLY = ("Terminating", "NotTerminating", "BestEffort", "NotBestEffort", "CrossNamespacePodAffinity")


def default(quota: ResourceQuota) -> None:
    """Quantities no finer than a thousandth."""
    for amounts in (quota.spec.hard, quota.status.hard, quota.status.used):
        round_up(amounts)


def prepare_create(quota: ResourceQuota) -> None:
    quota.status = ResourceQuotaStatus()


def prepare_update(new: ResourceQuota, old: ResourceQuota) -> None:
    new.status = old.status


def prepare_status(new: ResourceQuota, old: ResourceQuota) -> None:
    new.spec = old.spec


def _amounts(errors: Errors, amounts: dict[str, Any], path: str) -> None:
    for name, amount in amounts.items():
        resources.quota_resource_name(errors, name, f"{path}[{name}]")
        resources.amount(errors, name, amount, f"{path}[{name}]")


def scope_fits(scope: str, name: str) -> bool:
    """Whether a scope means something for a resource."""
    if scope in ("Terminating", "NotTerminating", "NotBestEffort", "PriorityClass", "CrossNamespacePodAffinity"):
        return name in _POD_RESOURCES
    if scope == "BestEffort":
        return name == "pods"
    return scope != "VolumeAttributesClass" or name in _CLAIM_RESOURCES


def validate(quota: ResourceQuota) -> Errors:
    """All findings."""
    errors: Errors = []
    spec = quota.spec
    _amounts(errors, spec.hard, "spec.hard")
    _scopes(errors, spec)
    _selector(errors, spec)
    return errors


def _conflicting(errors: Errors, scopes: set[str], spec: ResourceQuotaSpec, path: str) -> None:
    for pair in ({"BestEffort", "NotBestEffort"}, {"Terminating", "NotTerminating"}):
        if pair <= scopes:
            errors.append(field.invalid(path, spec.scopes or None, "conflicting scopes"))


def _scopes(errors: Errors, spec: ResourceQuotaSpec) -> None:
    path = "spec.scopes"
    # upstream shows all scopes in each finding
    unknown, unfitting = (field.invalid(path, spec.scopes, f"unsupported scope{more}") for more in ("", " applied to resource"))
    hard = [name for name in sorted(spec.hard) if resources.is_standard_quota(name)] if spec.scopes else []
    for scope in spec.scopes:
        if scope not in SCOPES:
            errors.append(unknown)
        errors += [unfitting for name in hard if not scope_fits(scope, name)]
    if spec.scopes:
        _conflicting(errors, set(spec.scopes), spec, path)


def _selector(errors: Errors, spec: ResourceQuotaSpec) -> None:
    if spec.scopeSelector is None:
        return
    path = "spec.scopeSelector.matchExpressions"
    shown = {"MatchExpressions": [{"ScopeName": one.scopeName, "Operator": one.operator, "Values": one.values or None}
                                  for one in spec.scopeSelector.matchExpressions]}
    for one in spec.scopeSelector.matchExpressions:
        if one.scopeName not in SCOPES:
            errors.append(field.invalid(f"{path}.scopeName", one.scopeName, "unsupported scope"))
        errors += [field.invalid(path, shown, "unsupported scope applied to resource") for name in sorted(spec.hard)
                   if resources.is_standard_quota(name) and not scope_fits(one.scopeName, name)]
        if one.scopeName in _EXISTS_ONLY and one.operator != "Exists":
            errors.append(field.invalid(
                f"{path}.operator", one.operator,
                "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, "
                "ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity"))
        if one.operator in ("In", "NotIn"):
            if not one.values:
                errors.append(field.required(f"{path}.values",
                                             "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector"))
        elif one.operator in ("Exists", "DoesNotExist"):
            if one.values:
                errors.append(field.invalid(f"{path}.values", one.values, "must be no value when `operator` is 'Exist' or "
                                                                          "'DoesNotExist' for scope selector"))
        else:
            errors.append(field.invalid(f"{path}.operator", one.operator, "not a valid selector operator"))
    _conflicting(errors, {one.scopeName for one in spec.scopeSelector.matchExpressions}, spec, path)


def validate_update(new: ResourceQuota, old: ResourceQuota) -> Errors:
    """Scopes stay."""
    if set(new.spec.scopes) == set(old.spec.scopes):
        return []
    return [field.invalid("spec.scopes", new.spec.scopes or None, field.IMMUTABLE)]


def validate_status(new: ResourceQuota, _: ResourceQuota) -> Errors:
    errors: Errors = []
    _amounts(errors, new.status.hard, "status.hard")
    _amounts(errors, new.status.used, "status.used")
    return errors


def warnings(new: ResourceQuota, old: ResourceQuota | None) -> list[str]:
    """Requests beyond limits, in a new quota."""
    found = []
    hard = new.spec.hard
    for name in ("cpu", "memory", "storage", "ephemeral-storage") if old is None else ():
        request = f"requests.{name}"
        if request not in hard and name in ("cpu", "memory"):
            request = name
        limit = f"limits.{name}"
        if request in hard and limit in hard and quantity.cmp(hard[request], hard[limit]) > 0:
            found.append(f"ResourceQuota {request} ({hard[request]}) should be less than {limit} ({hard[limit]})")
    return found


def _column(*, limits: bool) -> Any:
    def shown(quota: ResourceQuota, _: datetime) -> str:
        hard, used = quota.status.hard, quota.status.used
        return ", ".join(f"{name}: {used.get(name, '0')}/{hard[name]}" for name in sorted(hard)
                         if name.startswith("limits.") is limits)

    return shown


KIND: Kind[ResourceQuota] = Kind(
    resource=RESOURCE_QUOTAS,
    default=default,
    prepare_create=prepare_create,
    prepare_update=prepare_update,
    validate=validate,
    validate_update=validate_update,
    subkinds=(SubKind("status", prepare_status, validate_status),),
    columns=(
        Column("Name", lambda quota, _: quota.metadata.name, format="name"),
        Column("Request", _column(limits=False)),
        Column("Limit", _column(limits=True)),
        Column("Age", age),
    ),
    warnings=warnings,
)
