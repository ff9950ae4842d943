"""What may change in a pod, and through which subresource.

Leaves resizing to `pod_resize`. Source: kubernetes `pkg/apis/core/validation` (`ValidatePodUpdate`,
`ValidatePodStatusUpdate`, `ValidatePodEphemeralContainersUpdate`).
"""

from __future__ import annotations

from msgspec import structs

from sampan.api import addresses, field, goprint, names
from sampan.api.core.v1 import (
    Container,
    ContainerStatus,
    NodeAffinity,
    NodeSelectorTerm,
    Pod,
    PodSpec,
    Toleration,
)
from sampan.api.errors import FieldError
from sampan.kinds.core import pod_status
from sampan.kinds.core.internal import difference, internal
from sampan.kinds.core.pod_spec import scheduling
from sampan.kinds.core.pod_spec.containers import image_space
from sampan.kinds.core.pod_spec.marks import APP_ARMOR, MIRROR, pod_annotations

Errors = list[FieldError]

_NOT_NEGATIVE = "must be a non-negative integer"
_MAX_INT32 = 2**31 - 1
_UPDATABLE = ",".join((
    "`spec.containers[*].image`", "`spec.initContainers[*].image`", "`spec.activeDeadlineSeconds`",
    "`spec.tolerations` (only additions to existing tolerations)",
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)",
))
_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"


def validate_update(new: Pod, old: Pod) -> Errors:
    """Findings about an ordinary update, besides those about the pod itself."""
    errors: Errors = []
    _annotations(errors, new, old)
    if new.spec == old.spec:
        return errors
    for name in ("containers", "initContainers"):
        if not _same_containers(errors, getattr(new.spec, name) or [], getattr(old.spec, name) or [], f"spec.{name}"):
            return errors
    if not _deadline(errors, new.spec.activeDeadlineSeconds, old.spec.activeDeadlineSeconds):
        return errors
    _only_added_tolerations(errors, new.spec.tolerations, old.spec.tolerations)
    was_gated = {gate.name for gate in old.spec.schedulingGates}
    errors += [field.forbidden(f"spec.schedulingGates[{index}].name",
                               f"only deletion is allowed, but found new scheduling gate '{gate.name}'")
               for index, gate in enumerate(new.spec.schedulingGates) if gate.name not in was_gated]
    munged = _munged(errors, new.spec, old.spec)
    if munged != old.spec:
        errors.append(field.forbidden("spec", f"pod updates may not change fields other than {_UPDATABLE}\n"
                                              f"{difference(old.spec, munged)}"))
    return errors


def _munged(errors: Errors, new: PodSpec, old: PodSpec) -> PodSpec:
    """The new spec with all that may change put back."""
    spec = structs.replace(
        new, containers=_with_images(new.containers or [], old.containers or []),
        initContainers=_with_images(new.initContainers, old.initContainers),
        activeDeadlineSeconds=old.activeDeadlineSeconds, schedulingGates=old.schedulingGates, tolerations=old.tolerations)
    if (old.terminationGracePeriodSeconds or 0) < 0 and spec.terminationGracePeriodSeconds == 1:
        spec.terminationGracePeriodSeconds = old.terminationGracePeriodSeconds
    if old.schedulingGates:
        _munge_gated(errors, spec, old)
    return spec


def _with_images(new: list[Container], old: list[Container]) -> list[Container]:
    return [one if one.image == was.image else structs.replace(one, image=was.image)
            for one, was in zip(new, old, strict=True)]


def _munge_gated(errors: Errors, spec: PodSpec, old: PodSpec) -> None:
    """A gated pod may still be told more about its nodes."""
    if spec.nodeSelector != old.nodeSelector:
        if old.nodeSelector.items() - spec.nodeSelector.items():
            errors.append(field.invalid("spec.nodeSelector", goprint.ordered(spec.nodeSelector), "only additions to spec.nodeSelector "
                                                                                "are allowed (no mutations or deletions)"))
        spec.nodeSelector = old.nodeSelector
    now = spec.affinity.nodeAffinity if spec.affinity is not None else None
    was = old.affinity.nodeAffinity if old.affinity is not None else None
    if now == was:
        return
    _node_affinity_change(errors, now, was)
    if spec.affinity is None:
        spec.affinity = structs.replace(old.affinity, podAffinity=None, podAntiAffinity=None) if old.affinity else None
    elif old.affinity is None and spec.affinity.podAffinity is None and spec.affinity.podAntiAffinity is None:
        spec.affinity = None
    else:
        spec.affinity = structs.replace(spec.affinity, nodeAffinity=was)


def _node_affinity_change(errors: Errors, new: NodeAffinity | None, old: NodeAffinity | None) -> None:
    before = old.requiredDuringSchedulingIgnoredDuringExecution if old is not None else None
    after = new.requiredDuringSchedulingIgnoredDuringExecution if new is not None else None
    old_terms = (before.nodeSelectorTerms or []) if before is not None else []
    new_terms = (after.nodeSelectorTerms or []) if after is not None else []
    path = f"spec.affinity.nodeAffinity.{_REQUIRED}.nodeSelectorTerms"
    if old_terms and len(old_terms) != len(new_terms):
        errors.append(field.invalid(path, internal(new_terms), "no additions/deletions to non-empty NodeSelectorTerms list are allowed"))
        return
    errors += [field.invalid(f"{path}[{index}]", internal(term), "only additions are allowed (no mutations or deletions)")
               for index, (term, was) in enumerate(zip(new_terms, old_terms, strict=False)) if not _only_adds(term, was)]


def _only_adds(new: NodeSelectorTerm, old: NodeSelectorTerm) -> bool:
    if not old.matchExpressions and not old.matchFields and (new.matchExpressions or new.matchFields):
        return False
    return (new.matchExpressions[:len(old.matchExpressions)] == old.matchExpressions
            and new.matchFields[:len(old.matchFields)] == old.matchFields)


def _annotations(errors: Errors, new: Pod, old: Pod) -> None:
    now, was = new.metadata.annotations, old.metadata.annotations
    if now == was:
        return
    for key in was:
        if now.get(key) != was[key]:
            if key.startswith(APP_ARMOR):
                errors.append(field.forbidden(f"metadata.annotations[{key}]", "may not remove or update AppArmor annotations"))
            if key == MIRROR:
                errors.append(field.forbidden(f"metadata.annotations[{key}]", "may not remove or update mirror pod annotation"))
    for key in now:
        if key not in was:
            if key.startswith(APP_ARMOR):
                errors.append(field.forbidden(f"metadata.annotations[{key}]", "may not add AppArmor annotations"))
            if key == MIRROR:
                errors.append(field.forbidden(f"metadata.annotations[{key}]", "may not add mirror pod annotation"))
    pod_annotations(errors, now, new.spec, "metadata.annotations", was)


def _same_containers(errors: Errors, new: list[Container], old: list[Container], path: str) -> bool:
    if len(new) != len(old):
        errors.append(field.forbidden(path, "pod updates may not add or remove containers"))
        return False
    for index, container in enumerate(new):
        if not container.image:
            errors.append(field.required(f"{path}[{index}].image"))
        image_space(errors, container, f"{path}[{index}]")
    return True


def _deadline(errors: Errors, new: int | None, old: int | None) -> bool:
    path = "spec.activeDeadlineSeconds"
    if new is None:
        if old is not None:
            errors.append(field.invalid(path, None, "must not update from a positive integer to nil value"))
        return True
    if not 0 <= new <= _MAX_INT32:
        errors.append(field.invalid(path, new, names.range_error(0, _MAX_INT32)))
        return False
    if old is not None and old < new:
        errors.append(field.invalid(path, new, "must be less than or equal to previous value"))
        return False
    return True


def _only_added_tolerations(errors: Errors, new: list[Toleration], old: list[Toleration]) -> None:
    if new == old:
        return
    for was in old:
        if not any(structs.replace(was, tolerationSeconds=one.tolerationSeconds) == one for one in new):
            errors.append(field.forbidden("spec.tolerations",
                                          "existing toleration can not be modified except its tolerationSeconds"))
            return
    scheduling.tolerations(errors, new, "spec.tolerations")


# -- ephemeral containers -----------------------------------------------------------------------------------------------


def validate_ephemeral_containers(new: Pod, old: Pod) -> Errors:
    """Ephemeral containers are added, never changed or removed."""
    if MIRROR in old.metadata.annotations:
        return [field.forbidden(field.WHOLE, "static pods do not support ephemeral containers")]
    errors: Errors = []
    now = {one.name: one for one in new.spec.ephemeralContainers}
    for was in old.spec.ephemeralContainers:
        one = now.get(was.name)
        if one is None:
            errors.append(field.forbidden("spec.ephemeralContainers",
                                          f'existing ephemeral containers "{was.name}" may not be removed\n'))
        elif one != was:
            errors.append(field.forbidden("spec.ephemeralContainers",
                                          f'existing ephemeral containers "{was.name}" may not be changed\n'
                                          f"{difference(was, one)}"))
    return errors


# -- status -------------------------------------------------------------------------------------------------------------


def validate_status(new: Pod, old: Pod) -> Errors:
    """Findings about a change of the status."""
    errors: Errors = []
    _annotations(errors, new, old)
    status, was = new.status, old.status
    for index, condition in enumerate(status.conditions):
        at = f"status.conditions[{index}]"
        if condition.observedGeneration < 0:
            errors.append(field.invalid(f"{at}.observedGeneration", condition.observedGeneration, _NOT_NEGATIVE))
        if condition.type not in ("PodScheduled", "Ready", "Initialized"):
            errors += field.invalid_each(f"{at}.Type", condition.type, names.qualified_name(condition.type))
    if status.nominatedNodeName and status.nominatedNodeName != was.nominatedNodeName:
        errors += field.invalid_each("status.nominatedNodeName", status.nominatedNodeName,
                                     names.dns1123_subdomain(status.nominatedNodeName))
        if old.spec.nodeName:
            errors.append(field.forbidden("status.nominatedNodeName", "may not be set on pods that are already bound to a node"))
    if status.observedGeneration < 0:
        errors.append(field.invalid("status.observedGeneration", status.observedGeneration, _NOT_NEGATIVE))
    if status.qosClass != was.qosClass:
        errors.append(field.invalid("status.qosClass", status.qosClass, field.IMMUTABLE))
    if not _all_may_restart(old.spec):
        _transitions(errors, new, old, "containerStatuses", old.spec.containers or [])
        _transitions(errors, new, old, "initContainerStatuses", old.spec.initContainers)
    _transitions(errors, new, old, "ephemeralContainerStatuses", [])
    _claims(errors, new)
    pod_status.extended_claim(errors, new)
    _addresses(errors, [one.ip for one in status.podIPs], [one.ip for one in was.podIPs], "status.podIPs")
    if status.hostIPs:
        if status.hostIP != status.hostIPs[0].ip:
            errors.append(field.invalid("status.hostIPs[0].ip", status.hostIPs[0].ip, "must be equal to `hostIP`"))
        _addresses(errors, [one.ip for one in status.hostIPs], [one.ip for one in was.hostIPs], "status.hostIPs")
    pod_status.containers(errors, new)
    return errors


def _all_may_restart(spec: PodSpec) -> bool:
    """Whether the end of one container may start all of them again."""
    return any(rule.action == "RestartAllContainers"
               for one in (*spec.initContainers, *(spec.containers or ())) for rule in one.restartPolicyRules)


def _transitions(errors: Errors, new: Pod, old: Pod, name: str, containers: list[Container]) -> None:
    """A container that ended and is not started again stays ended; so does one that is not among `containers`."""
    statuses: list[ContainerStatus] = getattr(new.status, name)
    for index, was in enumerate(getattr(old.status, name)):
        ended = was.state.terminated
        if ended is None or not any(one.name == was.name and one.state.terminated is None for one in statuses):
            continue
        container = next((one for one in containers if one.name == was.name), None)
        if container is None or not _starts_again(container, old.spec, ended.exitCode):
            errors.append(field.forbidden(f"status.{name}[{index}].state", "may not be transitioned to non-terminated state"))


def _starts_again(container: Container, spec: PodSpec, exit_code: int) -> bool:
    """By the rules of the container, its policy, or the pod's."""
    if container.restartPolicy is not None and any(
            (exit_code in rule.exitCodes.values) == (rule.exitCodes.operator == "In")
            for rule in container.restartPolicyRules if rule.exitCodes is not None):
        return True
    policy = container.restartPolicy or spec.restartPolicy
    return policy == "Always" or (policy == "OnFailure" and exit_code != 0)


def _claims(errors: Errors, pod: Pod) -> None:
    known = {one.name for one in pod.spec.resourceClaims}
    seen: set[str] = set()
    for index, one in enumerate(pod.status.resourceClaimStatuses):
        entry = f"status.resourceClaimStatuses[{index}]"
        at = f"{entry}.name"
        if one.name not in known:
            errors.append(field.invalid(at, one.name, "must match the name of an entry in `spec.resourceClaims`"))
        if one.name in seen:
            errors.append(field.duplicate(at, one.name))
        seen.add(one.name)
        if one.resourceClaimName is not None:
            errors += field.invalid_each(f"{entry}.resourceClaimName", one.resourceClaimName, names.dns1123_subdomain(one.resourceClaimName))


def _addresses(errors: Errors, new: list[str], old: list[str], path: str) -> None:
    if new == old:
        return
    for index, ip in enumerate(new):
        errors += addresses.ip_for_legacy_field(f"{path}[{index}]", ip, old=old)
    if len(new) < 2:
        return
    parsed = [addresses.parse_ip_sloppy(ip) for ip in new]
    if None in parsed:
        index = parsed.index(None)
        errors.append(field.internal(path, f"failed to check for dual stack with error:invalid IP[{index}]: {new[index]}"))
    if len(new) > 2 or None in parsed or (":" in new[0]) == (":" in new[1]):
        errors.append(field.invalid(path, [{"IP": ip} for ip in new], "may specify no more than one IP for each IP family"))
