"""The status that the agent reports: phases, conditions, container states."""

from __future__ import annotations

from datetime import timedelta

from tests.node.test_sync import NOW, pod, seen, view

from sampan.api.core.v1 import ContainerStatus, Pod, PodReadinessGate, PodStatus, Probe
from sampan.node.probes.state import Purpose
from sampan.node.status import Ended, pod_status
from sampan.node.sync import PodView

HOST = ("192.0.2.7",)


def status_of(known: PodView, **waiting: tuple[str, str]) -> PodStatus:
    return pod_status(known, waiting, HOST, "containerd")


def conditions(status: PodStatus) -> dict[str, str]:
    return {c.type: c.status for c in status.conditions}


def container(status: PodStatus, name: str = "web") -> ContainerStatus:
    return next(c for c in [*status.containerStatuses, *status.initContainerStatuses] if c.name == name)


def test_a_pod_without_containers_yet_is_pending_and_creating() -> None:
    status = status_of(view(pod("web"), sandbox=None))
    assert status.phase == "Pending"
    waiting = container(status).state.waiting
    assert waiting is not None
    assert waiting.reason == "ContainerCreating"
    assert conditions(status)["Ready"] == "False"
    assert conditions(status)["PodReadyToStartContainers"] == "False"


def test_a_running_pod_is_ready_with_its_address() -> None:
    status = status_of(view(pod("web"), seen("web", "running")))
    assert (status.phase, status.podIP, status.hostIP) == ("Running", "10.244.0.5", "192.0.2.7")
    assert set(conditions(status).values()) == {"True"}
    assert container(status).ready
    assert container(status).started


def test_readiness_follows_its_probe_and_names_the_container() -> None:
    probed = pod("web")
    assert probed.spec.containers is not None
    probed.spec.containers[0].readinessProbe = Probe()
    unready = status_of(view(probed, seen("web", "running")))
    assert next(c.message for c in unready.conditions if c.type == "Ready") == "containers with unready status: [web]"
    ready = status_of(view(probed, seen("web", "running"), verdict=lambda purpose, _id: purpose is Purpose.READINESS))
    assert conditions(ready)["Ready"] == "True"


def test_a_condition_keeps_the_time_of_its_last_change() -> None:
    first = status_of(view(pod("web"), seen("web", "running")))
    known = view(pod("web"), seen("web", "running"))
    known.pod.status = first
    later = PodView(pod=known.pod, now=NOW + timedelta(minutes=5), sandbox=known.sandbox, containers=known.containers)
    assert status_of(later).conditions == first.conditions


def test_phases_of_pods_that_end() -> None:
    assert status_of(view(pod("work", restartPolicy="Never"), seen("work", "exited"))).phase == "Succeeded"
    assert status_of(view(pod("work", restartPolicy="Never"), seen("work", "exited", code=2))).phase == "Failed"
    assert status_of(view(pod("work", restartPolicy="OnFailure"), seen("work", "exited", code=2))).phase == "Running"


def test_a_pod_that_is_over_stays_over() -> None:
    over = pod("work", restartPolicy="Never")
    over.status.phase = "Succeeded"
    assert status_of(view(over, sandbox=None)).phase == "Succeeded"


def test_a_crash_loop_shows_the_wait_and_the_last_end() -> None:
    known = view(pod("web"), seen("web", "exited", attempt=2, code=3))
    status = status_of(known, web=("CrashLoopBackOff", "back-off 20s"))
    shown = container(status)
    assert shown.state.waiting is not None
    assert shown.state.waiting.reason == "CrashLoopBackOff"
    assert shown.lastState.terminated is not None
    assert shown.lastState.terminated.exitCode == 3
    assert shown.restartCount == 2


def test_readiness_gates_hold_ready_back() -> None:
    gated: Pod = pod("web", readinessGates=[PodReadinessGate(conditionType="example.com/lb")])
    status = status_of(view(gated, seen("web", "running")))
    assert conditions(status)["ContainersReady"] == "True"
    assert next(c for c in status.conditions if c.type == "Ready").reason == "ReadinessGatesNotReady"


def test_a_whole_pods_end_has_its_reason() -> None:
    status = pod_status(view(pod("web"), seen("web", "exited", code=137)), {}, HOST, "containerd",
                        Ended("DeadlineExceeded", "too long"))
    assert (status.phase, status.reason, status.message) == ("Failed", "DeadlineExceeded", "too long")
