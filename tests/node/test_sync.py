"""What the node does next about a pod: order of init containers and sidecars, restarts, back-off, termination."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from sampan.api.core.v1 import Container, Pod, PodSpec, Probe
from sampan.api.meta.v1 import ObjectMeta
from sampan.api.scalars import Time
from sampan.node.probes.state import Purpose
from sampan.node.sync import (
    Actions,
    BackoffEntry,
    ContainerView,
    PodView,
    SandboxView,
    decide,
    duration,
    next_backoff,
)

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
SANDBOX = SandboxView("sandbox-1", ready=True, attempt=0, ips=("10.244.0.5",))


def pod(*names: str, init: tuple[Container, ...] = (), **spec: Any) -> Pod:
    return Pod(metadata=ObjectMeta(name="web", namespace="default", uid="u1"),
               spec=PodSpec(containers=[Container(name=name) for name in names], initContainers=list(init), **spec))


def seen(name: str, state: str, *, attempt: int = 0, code: int = 0, ago: float = 5.0, sandbox: str = "sandbox-1") -> ContainerView:
    ended = NOW - timedelta(seconds=ago) if state == "exited" else None
    return ContainerView(name, f"{name}-{attempt}", sandbox, attempt, state, created=NOW - timedelta(seconds=ago + 60),  # type: ignore[arg-type]
                         started=NOW - timedelta(seconds=ago + 60), finished=ended, exit_code=code)


def view(pod: Pod, *views: ContainerView, **more: Any) -> PodView:
    containers: dict[str, tuple[ContainerView, ...]] = {}
    for one in views:
        containers[one.name] = (*containers.get(one.name, ()), one)
    return PodView(pod=pod, now=NOW, sandbox=more.pop("sandbox", SANDBOX), containers=containers, **more)


def starts(actions: Actions) -> list[tuple[str, int]]:
    return [(start.container.name, start.attempt) for start in actions.starts]


def kills(actions: Actions) -> list[str]:
    return [kill.view.name for kill in actions.kills]


def test_a_new_pod_gets_a_sandbox_first() -> None:
    actions = decide(view(pod("web"), sandbox=None))
    assert actions == Actions(create_sandbox=True)


def test_a_broken_sandbox_is_replaced_after_its_containers_were_killed() -> None:
    broken = SandboxView("sandbox-1", ready=False, attempt=2)
    first = decide(view(pod("web"), seen("web", "running"), sandbox=broken))
    assert kills(first) == ["web"]
    assert not first.create_sandbox
    then = decide(view(pod("web"), seen("web", "exited", code=137), sandbox=broken))
    assert then.create_sandbox
    assert then.sandbox_attempt == 3


def test_all_containers_start_together() -> None:
    assert starts(decide(view(pod("web", "log")))) == [("web", 0), ("log", 0)]


def test_init_containers_run_one_after_another_before_the_others() -> None:
    two = pod("web", init=(Container(name="a"), Container(name="b")))
    assert starts(decide(view(two))) == [("a", 0)]
    running = decide(view(two, seen("a", "running")))
    assert starts(running) == []
    assert running.waiting["web"] == ("PodInitializing", "")
    assert starts(decide(view(two, seen("a", "exited")))) == [("b", 0)]
    assert starts(decide(view(two, seen("a", "exited"), seen("b", "exited")))) == [("web", 0)]


def test_a_failed_init_container_ends_a_pod_that_never_restarts() -> None:
    never = pod("web", init=(Container(name="a"),), restartPolicy="Never")
    actions = decide(view(never, seen("a", "exited", code=1)))
    assert starts(actions) == []
    assert actions.stop_sandbox


def test_a_failed_init_container_is_tried_again_otherwise() -> None:
    again = pod("web", init=(Container(name="a"),), restartPolicy="Always")
    assert starts(decide(view(again, seen("a", "exited", code=1)))) == [("a", 1)]


def test_a_sidecar_must_have_started_before_the_next_goes_on_and_is_restarted_later() -> None:
    probe = Probe(periodSeconds=1)
    sidecar = Container(name="proxy", restartPolicy="Always", startupProbe=probe)
    both = pod("web", init=(sidecar, Container(name="b")))
    assert starts(decide(view(both))) == [("proxy", 0)]
    assert starts(decide(view(both, seen("proxy", "running")))) == []
    started = decide(view(both, seen("proxy", "running"), verdict=lambda purpose, _id: purpose is Purpose.STARTUP or None))
    assert starts(started) == [("b", 0)]
    later = decide(view(both, seen("proxy", "exited", code=1), seen("b", "exited"), seen("web", "running")))
    assert starts(later) == [("proxy", 1)]


def test_sidecars_end_when_the_others_are_done() -> None:
    job = pod("work", init=(Container(name="proxy", restartPolicy="Always"),), restartPolicy="Never")
    actions = decide(view(job, seen("proxy", "running"), seen("work", "exited")))
    assert kills(actions) == ["proxy"]
    assert starts(actions) == []
    assert decide(view(job, seen("proxy", "exited", code=143), seen("work", "exited"))).starts == ()


def test_restart_policies() -> None:
    for policy, code, again in (("Always", 0, True), ("Always", 1, True), ("OnFailure", 0, False), ("OnFailure", 1, True),
                                ("Never", 0, False), ("Never", 1, False)):
        actions = decide(view(pod("web", restartPolicy=policy), seen("web", "exited", code=code)))
        assert bool(actions.starts) is again, (policy, code)


def test_a_crashing_container_backs_off_and_says_so() -> None:
    crashed = seen("web", "exited", attempt=3, code=1, ago=4)
    actions = decide(view(pod("web"), crashed, backoff={"web": BackoffEntry(20.0, NOW - timedelta(seconds=30))}))
    assert starts(actions) == []
    assert actions.waiting["web"] == ("CrashLoopBackOff", "back-off 20s restarting failed container=web pod=web_default(u1)")
    assert actions.requeue_seconds == 16.0


def test_back_off_doubles_to_five_minutes_and_forgets_after_ten() -> None:
    entry, delays = None, []
    for _ in range(7):
        entry = next_backoff(entry, NOW, NOW)
        delays.append(entry.seconds)
    assert delays == [10, 20, 40, 80, 160, 300, 300]
    assert entry is not None
    assert next_backoff(entry, NOW + timedelta(minutes=11), NOW).seconds == 10
    assert [duration(s) for s in (10, 80, 300)] == ["10s", "1m20s", "5m0s"]


def test_a_failed_liveness_probe_kills_with_the_probes_own_grace() -> None:
    probed = pod("web")
    assert probed.spec.containers is not None
    probed.spec.containers[0].livenessProbe = Probe(terminationGracePeriodSeconds=3)
    actions = decide(view(probed, seen("web", "running"), verdict=lambda purpose, _id: False if purpose is Purpose.LIVENESS else None))
    assert [(kill.view.name, kill.grace_seconds, kill.message) for kill in actions.kills] == [
        ("web", 3, "Container web failed liveness probe, will be restarted")]


def test_a_deleted_pod_stops_containers_then_sidecars_then_its_sandbox() -> None:
    gone = pod("web", init=(Container(name="a", restartPolicy="Always"), Container(name="b", restartPolicy="Always")))
    gone.metadata.deletionTimestamp, gone.metadata.deletionGracePeriodSeconds = Time.of(NOW), 7
    first = decide(view(gone, seen("a", "running"), seen("b", "running"), seen("web", "running")))
    assert [(kill.view.name, kill.grace_seconds) for kill in first.kills] == [("web", 7)]
    assert kills(decide(view(gone, seen("a", "running"), seen("b", "running"), seen("web", "exited")))) == ["b"]
    assert kills(decide(view(gone, seen("a", "running"), seen("b", "exited"), seen("web", "exited")))) == ["a"]
    dead = (seen("a", "exited"), seen("b", "exited"), seen("web", "exited"))
    assert decide(view(gone, *dead)).stop_sandbox
    assert decide(view(gone, *dead, sandbox=None)).finished


def test_a_pod_past_its_deadline_is_stopped() -> None:
    late = pod("web", activeDeadlineSeconds=30)
    late.status.startTime = Time.of(NOW - timedelta(seconds=31))
    assert kills(decide(view(late, seen("web", "running")))) == ["web"]
    late.status.startTime = Time.of(NOW - timedelta(seconds=10))
    actions = decide(view(late, seen("web", "running")))
    assert actions.kills == ()
    assert actions.requeue_seconds == 20.0


def test_init_containers_do_not_run_again_when_only_a_container_crashed() -> None:
    again = pod("web", init=(Container(name="a"),))
    assert starts(decide(view(again, seen("web", "exited", code=1)))) == [("web", 1)]


def test_a_new_sandbox_runs_init_containers_again() -> None:
    again = pod("web", init=(Container(name="a"),))
    old = (seen("a", "exited", sandbox="sandbox-0"), seen("web", "exited", code=137, sandbox="sandbox-0"))
    assert starts(decide(view(again, *old))) == [("a", 1)]
