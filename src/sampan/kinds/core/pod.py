"""Pods: the KIND and the pure questions that the scheduler, the controllers and the node ask about a pod.

What a pod may become is `pod_update`, its status `pod_status`, how it is printed `pod_columns`, how it starts and changes
in the API server `pod_strategy`. Source: component-helpers `resource`, kubernetes `pkg/api/v1/pod`, `pkg/apis/core/v1/helper`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sampan.api import quantity
from sampan.api.core.v1 import Container, EphemeralContainer, Pod, PodSpec, ResourceRequirements, Taint, Toleration
from sampan.api.errors import FieldError
from sampan.api.resources import PODS
from sampan.kinds.core import pod_columns, pod_resize, pod_strategy, pod_update
from sampan.kinds.core.pod_qos import qos_class
from sampan.kinds.core.pod_spec import alike, pod_warnings, validate_pod_spec
from sampan.kinds.core.pod_spec.containers import image_space
from sampan.kinds.core.pod_spec.marks import MIRROR, match_fields, pod_annotations
from sampan.kinds.core.pod_spec.resources import is_pod_level
from sampan.kinds.core.pod_spec.warn import is_told_of
from sampan.kinds.kind import Kind, SubKind
from sampan.kinds.meta import is_true
from sampan.lib.memo import Passed

__all__ = [
    "KIND", "all_containers", "host_ports", "is_active", "is_ready", "is_sidecar", "is_terminal", "is_terminating", "name_of",
    "qos_class", "requests", "restarts", "tolerates", "tolerates_all",
]


# -- questions ----------------------------------------------------------------------------------------------------------


def is_sidecar(container: Container | EphemeralContainer) -> bool:
    """An init container that runs on beside the others."""
    return container.restartPolicy == "Always"


def is_terminal(pod: Pod) -> bool:
    """It has ended and will not run again."""
    return pod.status.phase in ("Succeeded", "Failed")


def is_terminating(pod: Pod) -> bool:
    """Its deletion was asked for."""
    return pod.metadata.deletionTimestamp is not None


def is_active(pod: Pod) -> bool:
    """Neither ended nor about to be deleted."""
    return pod.metadata.deletionTimestamp is None and pod.status.phase not in ("Succeeded", "Failed")


def is_ready(pod: Pod) -> bool:
    """Its condition Ready is True."""
    return is_true(pod.status.conditions, "Ready")


def name_of(pod: Pod) -> str:
    """`namespace/name`, as in messages."""
    return f"{pod.metadata.namespace}/{pod.metadata.name}"


def all_containers(spec: PodSpec) -> Iterator[Container]:
    """Init containers, then regular ones."""
    yield from spec.initContainers
    yield from spec.containers or ()


def tolerates(pod: Pod | PodSpec, taint: Taint) -> bool:
    """Whether one of the pod's tolerations matches the taint."""
    spec = pod.spec if isinstance(pod, Pod) else pod
    return any(toleration_matches(one, taint) for one in spec.tolerations)


def toleration_matches(toleration: Toleration, taint: Taint) -> bool:
    """Whether this toleration matches the taint."""
    if toleration.effect and toleration.effect != taint.effect:
        return False
    if toleration.key and toleration.key != taint.key:
        return False
    if toleration.operator in ("", "Equal"):
        return toleration.value == taint.value
    return toleration.operator == "Exists"


def tolerates_all(pod: Pod | PodSpec, taints: list[Taint], *effects: str) -> Taint | None:
    """The first taint with one of these effects (any, when none is given) that the pod does not tolerate; None: it may run."""
    for taint in taints:
        if (not effects or taint.effect in effects) and not tolerates(pod, taint):
            return taint
    return None


def host_ports(pod: Pod | PodSpec) -> frozenset[tuple[str, str, int]]:
    """(protocol, host address, port) of every port of the node that the pod takes; the address "" is every one."""
    spec = pod.spec if isinstance(pod, Pod) else pod
    holding = [*(spec.containers or ()), *filter(is_sidecar, spec.initContainers)]
    return frozenset((port.protocol or "TCP", "" if port.hostIP == "0.0.0.0" else port.hostIP, port.hostPort)
                     for container in holding for port in container.ports if port.hostPort)


def restarts(pod: Pod | PodSpec, container: Container, exit_code: int | None) -> bool:
    """Whether a container that ended so is started again; None: how it ended is not known, which counts as a failure.

    The container's own rules come first, then its policy, then the pod's; an init container of a pod that always
    restarts is repeated only after a failure.
    """
    spec = pod.spec if isinstance(pod, Pod) else pod
    for rule in container.restartPolicyRules:
        codes = rule.exitCodes
        if codes is not None and exit_code is not None and (exit_code in codes.values) == (codes.operator == "In"):
            return True
    policy = container.restartPolicy or spec.restartPolicy
    if policy == "Always":
        is_init = any(one.name == container.name for one in spec.initContainers)
        return container.restartPolicy == "Always" or not is_init or exit_code != 0
    return policy == "OnFailure" and exit_code != 0


# -- resources ----------------------------------------------------------------------------------------------------------


def amount(name: str, value: str) -> int:
    """A quantity as schedulers count it: thousandths of a CPU, whole numbers (bytes) of all else."""
    return quantity.milli(value) if name == "cpu" else quantity.integer(value)


def amounts(resources: Mapping[str, str]) -> dict[str, int]:
    """Quantities as schedulers count them."""
    return {name: amount(name, value) for name, value in resources.items()}


def requests(pod: Pod, *, missing: Mapping[str, int] | None = None, whole: bool = True) -> dict[str, int]:
    """What the pod occupies on a node: milli-CPU, bytes, counts.

    Regular containers and sidecars together, or the hungriest moment of starting up, whichever is more; then what
    the pod asks for as a whole in place of that; then its overhead. While a resize is under way the larger of
    old and new counts. `missing` stands in for what a container does not ask for (scoring); not `whole`: containers
    alone count, not what the pod asks for as a whole.
    """
    spec = pod.spec
    running = {one.name for one in (*(spec.containers or ()), *filter(is_sidecar, spec.initContainers))}
    statuses = {one.name: one for one in (*pod.status.containerStatuses, *pod.status.initContainerStatuses)
                if one.resources is not None and one.name in running}
    infeasible = (bool(statuses) or pod.status.resources is not None) and _resize_infeasible(pod)

    def wanted(container: Container) -> dict[str, int]:
        out = amounts(container.resources.requests)
        status = statuses.get(container.name)
        if status is not None:
            out = _resizing(out, status.resources, status.allocatedResources, infeasible=infeasible)
        for name, value in (missing or {}).items():
            out.setdefault(name, value)
        return out

    total: dict[str, int] = {}
    for container in spec.containers or ():
        _add(total, wanted(container))
    if spec.initContainers:
        _start_up(total, spec, wanted)
    if whole and spec.resources is not None and spec.resources.requests:
        wishes = amounts(spec.resources.requests)
        if pod.status.resources is not None:
            wishes = _resizing(wishes, pod.status.resources, pod.status.allocatedResources, infeasible=infeasible)
        total.update((name, wishes.get(name, 0)) for name in spec.resources.requests if is_pod_level(name))
    if spec.overhead:
        _add(total, amounts(spec.overhead))
    return total


def _start_up(total: dict[str, int], spec: PodSpec, wanted: Any) -> None:
    sidecars: dict[str, int] = {}
    peak: dict[str, int] = {}
    for container in spec.initContainers:
        own = wanted(container)
        if is_sidecar(container):
            _add(total, own)
            _add(sidecars, own)
            _raise(peak, sidecars)
        else:
            _add(own, sidecars)
            _raise(peak, own)
    _raise(total, peak)


def _resizing(wanted: dict[str, int], actual: ResourceRequirements | None, allocated: Mapping[str, str], *, infeasible: bool) -> dict[str, int]:
    out = {} if infeasible else wanted
    if actual is not None:
        _raise(out, amounts(actual.requests))
    _raise(out, amounts(allocated))
    return out


def _resize_infeasible(pod: Pod) -> bool:
    return any(one.type == "PodResizePending" and one.reason == "Infeasible" for one in pod.status.conditions)


def _add(total: dict[str, int], more: Mapping[str, int]) -> None:
    for name, value in more.items():
        total[name] = total.get(name, 0) + value


def _raise(total: dict[str, int], least: Mapping[str, int]) -> None:
    for name, value in least.items():
        if value > total.get(name, 0):
            total[name] = value


# -- the kind -----------------------------------------------------------------------------------------------------------


def validate(pod: Pod, old: Pod | None = None) -> list[FieldError]:
    """All findings about a pod, new or changed."""
    return [*_annotations(pod), *_spec(pod, old)]


def _annotations(pod: Pod) -> list[FieldError]:
    errors: list[FieldError] = []
    if pod.metadata.annotations:
        pod_annotations(errors, pod.metadata.annotations, pod.spec, "metadata.annotations")
    return errors


def _spec(pod: Pod, old: Pod | None = None) -> list[FieldError]:
    spec = pod.spec
    errors = validate_pod_spec(spec, "spec", pod.metadata, old=None if old is None else old.spec)
    if not spec.serviceAccountName:
        errors += pod_strategy.tokens_without_account(spec)
    for index, container in enumerate(spec.containers or ()):
        image_space(errors, container, f"spec.containers[{index}]")
    for index, container in enumerate(spec.initContainers):
        image_space(errors, container, f"spec.initContainers[{index}]")
    return errors


def judge_update(new: Pod, old: Pod) -> list[FieldError]:
    """All findings about an update; a spec that did not change was judged when it was written."""
    same = new.spec == old.spec and (MIRROR in new.metadata.annotations) == (MIRROR in old.metadata.annotations)
    return [*_annotations(new), *(() if same else _spec(new, old)), *pod_update.validate_update(new, old)]


def validate_create(pod: Pod) -> list[FieldError]:
    """What a new pod may not have yet."""
    errors = pod_strategy.not_on_create(pod.spec)
    if pod.metadata.annotations:
        match_fields(errors, pod.metadata.annotations, pod.spec, "spec")
    return errors


_sound: Passed[bytes] = Passed(alike.MOST, alike.LONGEST_BYTES)
"""Specs with nothing wrong or doubtful about them."""


def judge_create(pod: Pod) -> tuple[list[FieldError], list[str]]:
    """All findings about a new pod, else the warnings; a spec like those that were sound needs no second look."""
    text = alike.text_of(pod)
    is_sound = text in _sound
    errors = [*_annotations(pod), *(() if is_sound else _spec(pod)), *validate_create(pod)]
    if errors:
        return errors, []
    doubts: list[str] = []
    if not is_sound or any(map(is_told_of, pod.metadata.annotations)):
        doubts = pod_warnings(pod.spec, pod.metadata)
        if not doubts:
            _sound.add(text)
    return [], [*pod_strategy.metadata_warnings(pod), *doubts]


def grace_seconds(pod: Pod, asked: int | None) -> int:
    """How long a deletion waits: what was asked for, else what the pod says; not at all for a pod that does not run."""
    seconds = pod.spec.terminationGracePeriodSeconds or 0 if asked is None else asked
    if not pod.spec.nodeName or is_terminal(pod):
        return 0
    return 1 if seconds < 0 else seconds


def _validate_resize(new: Pod, old: Pod) -> list[FieldError]:
    return pod_resize.refused(old) or [*validate(new, old), *pod_resize.validate(new, old)]


KIND: Kind[Pod] = Kind(
    resource=PODS,
    metadata="both",
    default=pod_strategy.default,
    prepare_create=pod_strategy.prepare_create,
    prepare_update=pod_strategy.prepare_update,
    validate=validate,
    validate_create=validate_create,
    judge_create=judge_create,
    judge_update=judge_update,
    subkinds=(
        SubKind("status", pod_strategy.prepare_status, pod_update.validate_status, default=pod_strategy.default_status),
        SubKind("ephemeralcontainers", pod_strategy.prepare_ephemeral_containers,
                lambda new, old: [*validate(new, old), *pod_update.validate_ephemeral_containers(new, old)]),
        SubKind("resize", pod_strategy.prepare_resize, _validate_resize),
    ),
    columns=pod_columns.COLUMNS,
    fields={
        "spec.nodeName": lambda pod: pod.spec.nodeName,
        "spec.restartPolicy": lambda pod: pod.spec.restartPolicy,
        "spec.schedulerName": lambda pod: pod.spec.schedulerName,
        "spec.serviceAccountName": lambda pod: pod.spec.serviceAccountName,
        "spec.hostNetwork": lambda pod: "true" if pod.spec.hostNetwork else "false",
        "status.phase": lambda pod: pod.status.phase,
        "spec.host": lambda pod: pod.spec.nodeName,  # as clients of old say
        "status.podIPs": lambda _: "",  # known, but nothing has it
        "status.podIP": lambda pod: pod.status.podIPs[0].ip if pod.status.podIPs else "",
        "status.nominatedNodeName": lambda pod: pod.status.nominatedNodeName,
    },
    graceful_seconds=grace_seconds,
    warnings=pod_strategy.warnings,
)
