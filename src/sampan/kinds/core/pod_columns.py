"""How pods are printed: READY, STATUS, RESTARTS and the wide columns.

Source: kubernetes `pkg/printers/internalversion/printers.go`, `printPod`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sampan.api.core.v1 import ContainerStateTerminated, ContainerStatus, Pod
from sampan.kinds.kind import Column
from sampan.kinds.meta import is_true
from sampan.kinds.printing import NONE, age, since


def _newest(date: str, status: ContainerStatus) -> str:
    last = status.lastState.terminated
    return max(date, last.finishedAt or "") if last is not None else date


def _ended(state: ContainerStateTerminated, prefix: str = "") -> str:
    if state.reason:
        return f"{prefix}{state.reason}"
    return f"{prefix}Signal:{state.signal}" if state.signal else f"{prefix}ExitCode:{state.exitCode}"


def _initializing(pod: Pod) -> tuple[str, int]:
    """What the first init container that is not done does ("" when all are done), and how many sidecars are ready."""
    sidecars = {one.name for one in pod.spec.initContainers if one.restartPolicy == "Always"}
    ready = 0
    for index, status in enumerate(pod.status.initContainerStatuses):
        ended, waiting = status.state.terminated, status.state.waiting
        if ended is not None and ended.exitCode == 0:
            continue
        if status.name in sidecars and status.started:
            ready += status.ready
            continue
        if ended is not None:
            return _ended(ended, "Init:"), ready
        if waiting is not None and waiting.reason and waiting.reason != "PodInitializing":
            return f"Init:{waiting.reason}", ready
        return f"Init:{index}/{len(pod.spec.initContainers)}", ready
    return "", ready


def _running(pod: Pod, reason: str) -> tuple[str, int]:
    """What the regular containers make of the reason, and how many are ready."""
    ready, failed = 0, ""
    for status in reversed(pod.status.containerStatuses):
        state = status.state
        if state.waiting is not None and state.waiting.reason:
            reason = state.waiting.reason
        elif state.terminated is not None:
            reason = _ended(state.terminated)
            failed = reason if state.terminated.exitCode else failed
        elif status.ready and state.running is not None:
            ready += 1
    if reason == "Completed":
        if ready and is_true(pod.status.conditions, "Ready"):
            reason = "Running"
        else:
            reason = failed or ("NotReady" if ready else reason)
    return reason, ready


def summary(pod: Pod) -> tuple[str, str]:
    """READY and STATUS."""
    status = pod.status
    reason = status.reason or status.phase
    if any(one.type == "PodScheduled" and one.reason == "SchedulingGated" for one in status.conditions):
        reason = "SchedulingGated"
    starting, ready = _initializing(pod)
    if starting:
        reason = starting
    if not starting or is_true(status.conditions, "Initialized"):
        reason, more = _running(pod, reason)
        ready += more
    if pod.metadata.deletionTimestamp is not None:
        if status.reason == "NodeLost":
            reason = "Unknown"
        elif status.phase not in ("Succeeded", "Failed"):
            reason = "Terminating"
    total = len(pod.spec.containers or ()) + sum(one.restartPolicy == "Always" for one in pod.spec.initContainers)
    return f"{ready}/{total}", reason


def restarts(pod: Pod, now: datetime) -> str:
    """RESTARTS: `3`, or `3 (5m ago)` when it is known when the last was."""
    starting, _ = _initializing(pod)
    sidecars = {one.name for one in pod.spec.initContainers if one.restartPolicy == "Always"}
    started = not starting or is_true(pod.status.conditions, "Initialized")
    count, last = 0, ""
    for status in pod.status.initContainerStatuses:
        if not started or status.name in sidecars:
            count += status.restartCount
            last = _newest(last, status)
        ended = status.state.terminated
        if not started and not (ended is not None and ended.exitCode == 0) and not (status.name in sidecars and status.started):
            break  # those that have not begun do not count
    for status in pod.status.containerStatuses if started else ():
        count += status.restartCount
        last = _newest(last, status)
    return f"{count} ({since(last, now)} ago)" if count and last else str(count)  # type: ignore[arg-type]


def row_conditions(pod: Pod) -> list[dict[str, Any]]:
    """What a Table's row says about a pod that has ended."""
    words = {"Succeeded": "The pod has completed successfully.", "Failed": "The pod failed."}.get(pod.status.phase)
    if words is None:
        return []
    return [{"type": "Completed", "status": "True", "reason": pod.status.phase, "message": words}]


def _gates(pod: Pod, _: datetime) -> str:
    gates = pod.spec.readinessGates
    if not gates:
        return NONE
    return f"{sum(is_true(pod.status.conditions, gate.conditionType) for gate in gates)}/{len(gates)}"


COLUMNS: tuple[Column[Pod], ...] = (
    Column("Name", lambda pod, _: pod.metadata.name, format="name",
           description="Name must be unique within a namespace."),
    Column("Ready", lambda pod, _: summary(pod)[0],
           description="The aggregate readiness state of this pod for accepting traffic."),
    Column("Status", lambda pod, _: summary(pod)[1],
           description="The aggregate status of the containers in this pod."),
    Column("Restarts", restarts, description="The number of times the containers in this pod have been restarted and when "
                                             "the last container in this pod has restarted."),
    Column("Age", age, description="When the object was created."),
    Column("IP", lambda pod, _: pod.status.podIPs[0].ip if pod.status.podIPs else NONE, priority=1,
           description="The address of the pod."),
    Column("Node", lambda pod, _: pod.spec.nodeName or NONE, priority=1, description="The node that the pod runs on."),
    Column("Nominated Node", lambda pod, _: pod.status.nominatedNodeName or NONE, priority=1,
           description="The node that room is being made on for the pod."),
    Column("Readiness Gates", _gates, priority=1, description="How many of the pod's readiness gates are passed."),
)
