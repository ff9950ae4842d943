"""What a definition's status says: which of its names it has, whether it is served, whether it goes away.

Pure. Owns the conditions NamesAccepted, Established, Terminating and KubernetesAPIApprovalPolicyConformant. Leaves
writing them to `manager`.
Source: apiextensions-apiserver `pkg/controller/{status,establish,finalizer,apiapproval}`, `pkg/apihelpers/helpers.go`,
`pkg/registry/customresourcedefinition/etcd.go`.
"""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit

from sampan.api import codec
from sampan.api.apiextensions.v1 import (
    CustomResourceDefinition,
    CustomResourceDefinitionCondition,
    CustomResourceDefinitionNames,
    CustomResourceDefinitionStatus,
)
from sampan.api.scalars import Time
from sampan.kinds import meta
from sampan.kinds.apiextensions.custom_resource_definition import (
    APPROVED_ANNOTATION,
    CLEANUP_FINALIZER,
    bad_bundle,
    is_protected_group,
)

Condition = CustomResourceDefinitionCondition

INITIAL = "the initial names have been accepted"
PENDING = Condition("Terminating", "True", None, "InstanceDeletionPending",
                    "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon")
IN_PROGRESS = Condition("Terminating", "True", None, "InstanceDeletionInProgress", "CustomResource deletion is in progress")
COMPLETED = Condition("Terminating", "False", None, "InstanceDeletionCompleted", "removed all instances")
NEVER_SERVED = Condition("Terminating", "False", None, "NeverEstablished", "resource was never established")
OVERLAPPING = Condition("Terminating", "False", None, "OverlappingBuiltInResource",
                        "instances overlap with built-in resources in storage")
UNCONFIRMED = Condition("Terminating", "True", None, "InstanceDeletionCheck",
                        "could not confirm zero CustomResources remaining: timed out waiting for the condition")


BAD_BUNDLE = Condition("Established", "False", None, "InvalidCABundle", "The conversion webhook CABundle is invalid")


def failed(why: str) -> Condition:
    """Instances could not be deleted."""
    return Condition("Terminating", "True", None, "InstanceDeletionFailed", f"could not issue all deletes: {why}")


def settled(crd: CustomResourceDefinition, group: Iterable[CustomResourceDefinition], now: Time) -> CustomResourceDefinitionStatus:
    """The status that a definition should have.

    Args:
        crd: As it is stored; left as it is.
        group: The definitions of its group, itself among them or not: their accepted names are taken.
        now: When conditions change.
    """
    status: CustomResourceDefinitionStatus = codec.clone(crd.status)
    if crd.spec.names != status.acceptedNames or not meta.is_true(status.conditions or (), "NamesAccepted"):
        accepted, reason, message = _names(crd, group)
        status.acceptedNames = accepted
        put(status, Condition("NamesAccepted", "False" if reason else "True", None, reason or "NoConflicts", message), now)
    if not meta.is_true(status.conditions or (), "Established"):
        if meta.is_true(status.conditions or (), "NamesAccepted") and bad_bundle(crd):
            put(status, BAD_BUNDLE, now)
        elif meta.is_true(status.conditions or (), "NamesAccepted"):
            put(status, Condition("Established", "True", None, "InitialNamesAccepted", INITIAL), now)
        else:
            put(status, Condition("Established", "False", None, "NotAccepted", "not all names are accepted"), now)
    if is_protected_group(crd.spec.group):
        put(status, _approval(crd.metadata.annotations.get(APPROVED_ANNOTATION, "")), now)
    return status


def put(status: CustomResourceDefinitionStatus, new: Condition, now: Time) -> None:
    """Set a condition, in place; its time moves when its status changes."""
    new = codec.clone(new)
    new.lastTransitionTime = now
    status.conditions = meta.with_condition(status.conditions or (), new)


def begin_deletion(crd: CustomResourceDefinition, now: Time) -> None:
    """Mark it as going away, in place: its objects go first."""
    crd.metadata.deletionTimestamp = now
    if CLEANUP_FINALIZER not in crd.metadata.finalizers:
        crd.metadata.finalizers = [*crd.metadata.finalizers, CLEANUP_FINALIZER]
    put(crd.status, PENDING, now)


def _names(crd: CustomResourceDefinition, group: Iterable[CustomResourceDefinition]) -> tuple[CustomResourceDefinitionNames, str, str]:
    """The names that it may have, the last conflict's reason (or none), and words."""
    resources: set[str] = set()
    kinds: set[str] = set()
    for other in (crd, *group):
        taken = other.status.acceptedNames
        resources |= {taken.plural, taken.singular, *taken.shortNames}
        kinds |= {taken.kind, taken.listKind}
    wanted, had = crd.spec.names, crd.status.acceptedNames
    new = codec.clone(had)
    reason, message = "", "no conflicts found"
    for name, used in (("plural", resources), ("singular", resources), ("shortNames", resources), ("kind", kinds), ("listKind", kinds)):
        asked, old = getattr(wanted, name), getattr(had, name)
        if name == "shortNames":
            conflicts = [one for one in asked if one not in old and one and one in used] if asked != old else []
        else:
            conflicts = [asked] if asked != old and asked in used else []
        if conflicts:
            reason, message = f"{name[0].upper()}{name[1:]}Conflict", _aggregate([f'"{one}" is already in use' for one in conflicts])
        else:
            setattr(new, name, codec.clone(asked) if isinstance(asked, list) else asked)
    new.categories = list(wanted.categories)
    return new, reason, message


def _aggregate(messages: list[str]) -> str:
    unique = list(dict.fromkeys(messages))
    return unique[0] if len(unique) == 1 else f"[{', '.join(unique)}]"


def _approval(text: str) -> Condition:
    see = "see https://github.com/kubernetes/enhancements/pull/1111"
    must = f'protected groups must have approval annotation "{APPROVED_ANNOTATION}"'
    if not text:
        status, reason, message = "False", "MissingAnnotation", f"{must}, {see}"
    elif text.startswith("unapproved"):
        status, reason, message = "False", "UnapprovedAnnotation", f'not approved: "{text}"'
    elif _is_url(text):
        status, reason, message = "True", "ApprovedAnnotation", f"approved in {text}"
    else:
        status, reason = "False", "InvalidAnnotation"
        message = f'{must} with either a URL or a reason starting with "unapproved", {see}'
    return Condition("KubernetesAPIApprovalPolicyConformant", status, None, reason, message)


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return bool(parts.scheme and parts.netloc)
