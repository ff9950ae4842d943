"""The status that the agent reports of a pod, from what the runtime and the probes say. Pure.

Source: kubelet `pkg/kubelet/kubelet_pods.go` (getPhase, convertStatusToAPIStatus), `pkg/kubelet/status/generate.go`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec
from msgspec import Struct

from sampan.api.core.v1 import (
    Container,
    ContainerState,
    ContainerStateRunning,
    ContainerStateTerminated,
    ContainerStateWaiting,
    ContainerStatus,
    HostIP,
    Pod,
    PodCondition,
    PodIP,
    PodStatus,
)
from sampan.api.scalars import Time
from sampan.node.probes.state import Purpose
from sampan.node.sync import ContainerView, PodView, as_container, is_sidecar, should_restart, should_restart_init

OWN_CONDITIONS = frozenset(("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"))


class Ended(Struct, frozen=True):
    """Why a pod ended as a whole: evicted, past its deadline, refused."""

    reason: str
    message: str


def pod_status(view: PodView, waiting: Mapping[str, tuple[str, str]], host_ips: Sequence[str], runtime: str,
               ended: Ended | None = None) -> PodStatus:
    """The whole status; conditions keep the time of their last change from `view.pod.status`.

    Args:
        view: The pod as the runtime and the probes see it.
        waiting: Why containers that do not run wait, by name (from `sync.decide` and from failed attempts).
        host_ips: The node's addresses.
        runtime: The scheme of container ids, `containerd`.
        ended: Why the pod failed as a whole, if it did.
    """
    pod, spec = view.pod, view.pod.spec
    init = [_container_status(view, c, waiting, runtime, init=True) for c in spec.initContainers]
    main = [_container_status(view, c, waiting, runtime) for c in spec.containers or ()]
    ephemeral = [_container_status(view, as_container(c), waiting, runtime) for c in spec.ephemeralContainers]
    phase = "Failed" if ended is not None else _phase(view, main)
    if pod.status.phase in ("Failed", "Succeeded"):
        phase = pod.status.phase  # a pod that is over never comes back
    ips = [PodIP(ip=ip) for ip in (view.sandbox.ips if view.sandbox is not None else ())]
    if spec.hostNetwork:
        ips = [PodIP(ip=ip) for ip in host_ips[:1]]
    if not ips and phase in ("Running", "Succeeded", "Failed"):
        ips = pod.status.podIPs
    status = PodStatus(
        phase=phase,
        conditions=_conditions(view, phase, init, main),
        hostIP=host_ips[0] if host_ips else "",
        hostIPs=[HostIP(ip=ip) for ip in host_ips],
        podIP=(ips[0].ip or "") if ips else "",
        podIPs=ips,
        startTime=pod.status.startTime or Time.of(view.now),
        initContainerStatuses=init,
        containerStatuses=main,
        ephemeralContainerStatuses=ephemeral,
        qosClass=pod.status.qosClass,
        observedGeneration=pod.metadata.generation,
        nominatedNodeName=pod.status.nominatedNodeName,
        resourceClaimStatuses=pod.status.resourceClaimStatuses,
    )
    if ended is not None:
        status.reason, status.message = ended.reason, ended.message
    elif pod.status.phase == "Failed":
        status.reason, status.message = pod.status.reason, pod.status.message
    return status


def with_addresses(status: PodStatus, ips: Sequence[str]) -> PodStatus:
    """The same status of a pod that has these addresses."""
    return msgspec.structs.replace(status, podIP=ips[0] if ips else "", podIPs=[PodIP(ip=ip) for ip in ips])


def is_echo(before: Pod, after: Pod, said: PodStatus) -> bool:
    """Whether a pod's newer version tells its node no more than what the node itself has said. Pure.

    Source: kubelet `pkg/kubelet/config/config.go` (checkAndUpdatePod: a change of the status alone is no update).
    """
    old, new = before.metadata, after.metadata
    return (after.status == said and old.uid == new.uid and old.deletionTimestamp == new.deletionTimestamp
            and old.deletionGracePeriodSeconds == new.deletionGracePeriodSeconds
            and old.labels == new.labels and old.annotations == new.annotations and before.spec == after.spec)


def _state(seen: ContainerView | None, waiting: tuple[str, str] | None, runtime: str, *, default: str) -> ContainerState:
    if seen is None or seen.state in ("created", "unknown"):
        reason, message = waiting or (default, "")
        return ContainerState(waiting=ContainerStateWaiting(reason=reason, message=message))
    if seen.state == "running":
        return ContainerState(running=ContainerStateRunning(startedAt=_time(seen.started)))
    return ContainerState(terminated=ContainerStateTerminated(
        exitCode=seen.exit_code,
        reason=seen.reason or ("Completed" if seen.exit_code == 0 else "Error"),
        message=seen.message,
        startedAt=_time(seen.started),
        finishedAt=_time(seen.finished),
        containerID=f"{runtime}://{seen.id}",
    ))


def _time(moment: object) -> Time | None:
    return Time.of(moment) if isinstance(moment, datetime) else None


def _container_status(view: PodView, container: Container, waiting: Mapping[str, tuple[str, str]], runtime: str, *,
                      init: bool = False) -> ContainerStatus:
    attempts = view.containers.get(container.name, ())
    seen = attempts[0] if attempts else None
    why = waiting.get(container.name)
    said, old = view.pod.status, None
    for status in (*said.containerStatuses, *said.initContainerStatuses, *said.ephemeralContainerStatuses):
        if status.name == container.name:
            old = status
            break
    default = "PodInitializing" if view.pod.spec.initContainers and not init else "ContainerCreating"
    last = ContainerState()
    if seen is None and old is not None and old.state.terminated is not None and why is None:
        return old  # the runtime has forgotten it, the API has not
    if seen is not None and seen.state == "exited" and why is not None:
        # it exited and waits for its next attempt
        state = ContainerState(waiting=ContainerStateWaiting(reason=why[0], message=why[1]))
        last = _state(seen, None, runtime, default=default)
    else:
        state = _state(seen, why, runtime, default=default)
        if len(attempts) > 1:
            last = _state(attempts[1], None, runtime, default=default)
        elif old is not None and (seen is None or (old.restartCount <= seen.attempt and old.lastState.terminated is not None)):
            last = old.lastState
        if last.running is not None or last.waiting is not None:
            last = ContainerState()
    started = _started(view, container, seen)
    return ContainerStatus(
        name=container.name,
        state=state,
        lastState=last,
        ready=_ready(view, container, seen, init=init, started=started),
        restartCount=max(seen.attempt if seen else 0, old.restartCount if old else 0),
        image=(seen.image if seen and seen.image else container.image),
        imageID=seen.image_id if seen else (old.imageID if old else ""),
        containerID=f"{runtime}://{seen.id}" if seen else (old.containerID if old else ""),
        started=started,
    )


def _started(view: PodView, container: Container, seen: ContainerView | None) -> bool:
    if seen is None or seen.state != "running":
        return False
    return container.startupProbe is None or view.verdict(Purpose.STARTUP, seen.id) is True


def _ready(view: PodView, container: Container, seen: ContainerView | None, *, init: bool, started: bool) -> bool:
    if seen is None:
        return False
    if init and not is_sidecar(container):
        return seen.state == "exited" and seen.exit_code == 0
    if not started:
        return False
    return container.readinessProbe is None or view.verdict(Purpose.READINESS, seen.id) is True


def _phase(view: PodView, main: Sequence[ContainerStatus]) -> str:
    pod = view.pod
    for container in pod.spec.initContainers:
        seen = view.latest(container.name)
        if not is_sidecar(container) and seen is not None and seen.state == "exited" and seen.exit_code != 0 \
                and not should_restart_init(pod, container, seen.exit_code):
            return "Failed"
    states = [(c, view.latest(c.name)) for c in pod.spec.containers or ()]
    if any(seen is None for _, seen in states) and not any(s.state.terminated for s in main):
        return "Pending"
    if any(seen is not None and seen.state == "running" for _, seen in states):
        return "Running"
    over = [(c, status.state.terminated) for (c, _), status in zip(states, main, strict=True)]
    if all(ended is not None and not should_restart(pod, c, ended.exitCode) for c, ended in over):
        return "Succeeded" if all(ended is not None and ended.exitCode == 0 for _, ended in over) else "Failed"
    if all(seen is not None and seen.state == "created" for _, seen in states):
        return "Pending"
    return "Running"


def _conditions(view: PodView, phase: str, init: Sequence[ContainerStatus], main: Sequence[ContainerStatus]) -> list[PodCondition]:
    pod = view.pod
    old = {condition.type: condition for condition in pod.status.conditions}
    over = phase in ("Succeeded", "Failed")
    unready = [status.name for status in main if not status.ready]
    initialized, unready_sidecars = True, list[str]()
    if init:
        sidecars = {c.name for c in pod.spec.initContainers if is_sidecar(c)}
        unready_sidecars = [s.name for s in init if s.name in sidecars and not s.ready]
        # once its containers have been made a pod stays initialized, whatever a later sidecar does
        initialized = (any(view.latest(c.name) is not None for c in pod.spec.containers or ())
                       or all(s.started if s.name in sidecars else s.ready for s in init))
    containers_ready = not unready and not unready_sidecars and not over and bool(main)
    gates = [gate.conditionType for gate in pod.spec.readinessGates
             if old.get(gate.conditionType) is None or old[gate.conditionType].status != "True"]
    why = ("PodCompleted", "") if phase == "Succeeded" else ("PodFailed", "") if phase == "Failed" else (
        "ContainersNotReady", f"containers with unready status: [{' '.join([*unready_sidecars, *unready])}]")
    wanted: list[tuple[str, bool, str, str]] = [
        ("PodReadyToStartContainers", view.sandbox is not None and view.sandbox.ready, "", ""),
        ("Initialized", initialized or phase == "Succeeded", *(("PodCompleted", "") if phase == "Succeeded" else ("", "") if initialized else (
            "ContainersNotInitialized", f"containers with incomplete status: [{' '.join([s.name for s in init if not s.ready])}]"))),
        ("Ready", containers_ready and not gates, *(("", "") if containers_ready and not gates else why if not containers_ready else (
            "ReadinessGatesNotReady", "; ".join(f'corresponding condition of pod readiness gate "{g}" does not exist.' if g not in old else
                                                f'the status of pod readiness gate "{g}" is not "True", but {old[g].status}' for g in gates)))),
        ("ContainersReady", containers_ready, *(("", "") if containers_ready else why)),
        ("PodScheduled", True, "", ""),
    ]
    now, generation = Time.of(view.now), pod.metadata.generation
    out = [condition for kind, condition in old.items() if kind not in OWN_CONDITIONS]
    for kind, holds, reason, message in wanted:
        before, status = old.get(kind), "True" if holds else "False"
        since = before.lastTransitionTime if before is not None and before.status == status else now
        out.append(PodCondition(type=kind, status=status, reason=reason, message=message, lastTransitionTime=since, observedGeneration=generation))
    return out
