"""What to do next about one pod: (pod, runtime state, probe verdicts, clock) → `Actions`. Pure.

Owns: the order of init containers, sidecars and containers, restarts and their back-off, deadlines, termination.
Leaves performing to `podworker` and the reported status to `status`.
Source: kubelet `pkg/kubelet/kuberuntime/kuberuntime_manager.go` (computePodActions, doBackOff),
KEP-753 (sidecars).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Literal

from msgspec import Struct, field

from sampan.api.core.v1 import Container, Pod
from sampan.node.probes.state import Purpose

FIRST_BACKOFF_SECONDS = 10.0
MOST_BACKOFF_SECONDS = 300.0


class ContainerView(Struct, frozen=True, gc=False):
    """One container as the runtime has it; times are aware, None where it has not come to that."""

    name: str
    id: str
    sandbox_id: str
    attempt: int
    state: Literal["created", "running", "exited", "unknown"]
    created: datetime
    started: datetime | None = None
    finished: datetime | None = None
    exit_code: int = 0
    reason: str = ""
    message: str = ""
    image: str = ""
    image_id: str = ""


class SandboxView(Struct, frozen=True, gc=False):
    """The pod's sandbox as the runtime has it."""

    id: str
    ready: bool
    attempt: int
    ips: tuple[str, ...] = ()


class BackoffEntry(Struct, frozen=True, gc=False):
    """The wait that the next restart of a container owes; it forgets after twice the longest wait."""

    seconds: float
    updated: datetime

    def stale(self, at: datetime) -> bool:
        return at - self.updated > timedelta(seconds=2 * MOST_BACKOFF_SECONDS)


def next_backoff(entry: BackoffEntry | None, finished: datetime, now: datetime) -> BackoffEntry:
    """The entry after one more restart."""
    if entry is None or entry.stale(finished):
        return BackoffEntry(FIRST_BACKOFF_SECONDS, now)
    return BackoffEntry(min(entry.seconds * 2, MOST_BACKOFF_SECONDS), now)


class PodView(Struct, frozen=True):
    """Everything that `decide` looks at. `containers` has every attempt by name, the newest first."""

    pod: Pod
    now: datetime
    sandbox: SandboxView | None = None
    containers: Mapping[str, tuple[ContainerView, ...]] = field(default_factory=dict)
    backoff: Mapping[str, BackoffEntry] = field(default_factory=dict)
    verdict: Callable[[Purpose, str], bool | None] = lambda _purpose, _id: None
    evicted: bool = False

    def latest(self, name: str) -> ContainerView | None:
        """The newest attempt, if there is one."""
        attempts = self.containers.get(name)
        return attempts[0] if attempts else None

    def current(self, name: str) -> ContainerView | None:
        """The newest attempt in the sandbox that is there now."""
        attempts = self.containers.get(name)
        return attempts[0] if attempts and self.sandbox is not None and attempts[0].sandbox_id == self.sandbox.id else None

    def running(self) -> Iterator[ContainerView]:
        """Every container that runs, of whatever sandbox."""
        for attempts in self.containers.values():
            yield from (view for view in attempts if view.state == "running")


class Kill(Struct, frozen=True):
    """Stop a container: its preStop hook first, all within `grace_seconds`."""

    view: ContainerView
    message: str
    grace_seconds: int
    reason: Literal["Killing", "Unhealthy", "Preempted"] = "Killing"


class Start(Struct, frozen=True):
    """Create and start the next attempt of a container."""

    container: Container
    attempt: int
    role: Literal["init", "container", "ephemeral"] = "container"


class Actions(Struct, frozen=True):
    """What to do now, kills before starts. `waiting` tells why a container that does not run does not."""

    create_sandbox: bool = False
    sandbox_attempt: int = 0
    stop_sandbox: bool = False
    kills: tuple[Kill, ...] = ()
    starts: tuple[Start, ...] = ()
    waiting: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    requeue_seconds: float | None = None
    finished: bool = False


def is_sidecar(container: Container) -> bool:
    """An init container that goes on running beside the others."""
    return container.restartPolicy == "Always"


def should_restart(pod: Pod, container: Container, exit_code: int) -> bool:
    """Whether an exit with this code is followed by another attempt."""
    if container.restartPolicy == "Always":
        return True
    for rule in container.restartPolicyRules:
        codes = rule.exitCodes
        if codes is not None and (exit_code in codes.values) == (codes.operator == "In"):
            return rule.action == "Restart"
    policy = container.restartPolicy or pod.spec.restartPolicy or "Always"
    return policy == "Always" or (policy == "OnFailure" and exit_code != 0)


def grace_seconds(pod: Pod) -> int:
    """What a killed container gets: the deletion's grace where the pod is being deleted, the spec's otherwise."""
    if pod.metadata.deletionGracePeriodSeconds is not None:
        return pod.metadata.deletionGracePeriodSeconds
    return 30 if pod.spec.terminationGracePeriodSeconds is None else pod.spec.terminationGracePeriodSeconds


def deadline_passed(view: PodView) -> bool:
    """Whether `activeDeadlineSeconds` is over."""
    limit, start = view.pod.spec.activeDeadlineSeconds, view.pod.status.startTime
    return limit is not None and start is not None and view.now - start.moment() >= timedelta(seconds=limit)


def decide(view: PodView) -> Actions:
    """The next actions; asked again after each has been performed and whenever something changed."""
    pod = view.pod
    if pod.metadata.deletionTimestamp is not None or view.evicted or deadline_passed(view):
        return _terminate(view, grace_seconds(pod))
    if pod.status.phase in ("Succeeded", "Failed"):
        return _terminate(view, grace_seconds(pod))
    if view.sandbox is None or not view.sandbox.ready:
        return _new_sandbox(view)
    sync = _Sync(view)
    sync.containers()
    requeue = sync.requeue_seconds
    if pod.spec.activeDeadlineSeconds is not None and pod.status.startTime is not None:
        left = pod.spec.activeDeadlineSeconds - (view.now - pod.status.startTime.moment()).total_seconds()
        requeue = left if requeue is None else min(requeue, left)
    return Actions(kills=tuple(sync.kills), starts=tuple(sync.starts), waiting=sync.waiting, requeue_seconds=requeue,
                   stop_sandbox=sync.done and not any(view.running()))


def _new_sandbox(view: PodView) -> Actions:
    """A sandbox that is gone or broken takes its containers with it; a pod that is done gets no new one."""
    running = [Kill(c, "Pod sandbox changed, it will be killed and re-created.", grace_seconds(view.pod)) for c in view.running()]
    if running:
        return Actions(kills=tuple(running))
    if view.sandbox is not None and _nothing_to_run(view):
        return Actions()
    attempt = 0 if view.sandbox is None else view.sandbox.attempt + 1
    return Actions(create_sandbox=True, sandbox_attempt=attempt, stop_sandbox=view.sandbox is not None)


def _nothing_to_run(view: PodView) -> bool:
    spec = view.pod.spec
    if spec.restartPolicy not in ("Never", "OnFailure"):
        return False
    latest = [(container, view.latest(container.name)) for container in spec.containers or ()]
    return all(seen is not None and seen.state == "exited" and not should_restart(view.pod, container, seen.exit_code)
               for container, seen in latest)


def _terminate(view: PodView, grace: int) -> Actions:
    """Containers first, then sidecars in reverse order, then the sandbox; `finished` when all of it is dead."""
    running = list(view.running())
    if running:
        sidecars = [c.name for c in view.pod.spec.initContainers if is_sidecar(c)]
        ordinary = [c for c in running if c.name not in sidecars]
        if not ordinary:
            last = max(sidecars.index(c.name) for c in running)
            ordinary = [c for c in running if c.name == sidecars[last]]
        return Actions(kills=tuple(Kill(c, f"Stopping container {c.name}", grace) for c in ordinary))
    if view.sandbox is not None and view.sandbox.ready:
        return Actions(stop_sandbox=True)
    return Actions(finished=True)


class _Sync:
    """The pass over a pod whose sandbox is ready; collects what `decide` returns."""

    def __init__(self, view: PodView) -> None:
        self.view, self.pod = view, view.pod
        self.kills: list[Kill] = []
        self.starts: list[Start] = []
        self.waiting: dict[str, tuple[str, str]] = {}
        self.requeue_seconds: float | None = None
        self.done = False  # nothing of the pod will run again

    def containers(self) -> None:
        spec = self.pod.spec
        for ephemeral in spec.ephemeralContainers:
            if self.view.latest(ephemeral.name) is None:
                self.starts.append(Start(as_container(ephemeral), 0, "ephemeral"))
        main = spec.containers or []
        if spec.initContainers and not self._init_containers(initialized=any(self.view.current(c.name) is not None for c in main)):
            for container in main:
                self.waiting.setdefault(container.name, ("PodInitializing", ""))
            return
        over = True
        for container in main:
            self._keep_running(container, "container")
            over = over and self._is_over(container)
        self.done = over
        if self.done:
            self._stop_sidecars()

    def _stop_sidecars(self) -> None:
        sidecars = [c.name for c in self.pod.spec.initContainers if is_sidecar(c)]
        self.starts = [s for s in self.starts if s.container.name not in sidecars]
        for container in reversed(self.pod.spec.initContainers):
            seen = self.view.current(container.name)
            if is_sidecar(container) and seen is not None and seen.state == "running":
                if not any(kill.view.id == seen.id for kill in self.kills):
                    self.kills.append(Kill(seen, f"Stopping container {container.name}", grace_seconds(self.pod)))
                return

    def _is_over(self, container: Container) -> bool:
        seen = self.view.current(container.name)
        return seen is not None and seen.state == "exited" and not should_restart(self.pod, container, seen.exit_code)

    def _init_containers(self, *, initialized: bool) -> bool:
        """Bring the init containers on; true when the pod's containers may run."""
        for container in self.pod.spec.initContainers:
            seen = self.view.current(container.name)
            if is_sidecar(container):
                self._keep_running(container, "init")
                if not initialized and not self._has_started(container, seen):
                    self._wait_behind(container)
                    return False
                continue
            if initialized or (seen is not None and seen.state == "exited" and seen.exit_code == 0):
                continue
            if seen is not None and seen.state == "exited" and not should_restart_init(self.pod, container, seen.exit_code):
                self.done = True  # the pod has failed
                self._stop_sidecars()
                return False
            self._keep_running(container, "init")
            self._wait_behind(container)
            return False
        return True

    def _wait_behind(self, container: Container) -> None:
        names = [c.name for c in self.pod.spec.initContainers]
        for later in names[names.index(container.name) + 1:]:
            self.waiting.setdefault(later, ("PodInitializing", ""))

    def _has_started(self, container: Container, seen: ContainerView | None) -> bool:
        if seen is None or seen.state != "running":
            return False
        return container.startupProbe is None or self.view.verdict(Purpose.STARTUP, seen.id) is True

    def _keep_running(self, container: Container, role: Literal["init", "container"]) -> None:
        seen = self.view.current(container.name)
        if seen is not None and seen.state == "running":
            self._check_probes(container, seen)
            return
        if seen is not None and seen.state == "exited":
            restart = should_restart_init if role == "init" else should_restart
            if not restart(self.pod, container, seen.exit_code):
                return
        latest = self.view.latest(container.name)
        if latest is not None and latest.state == "exited" and self._backs_off(container, latest):
            return
        self.starts.append(Start(container, 0 if latest is None else latest.attempt + 1, role))

    def _check_probes(self, container: Container, seen: ContainerView) -> None:
        if container.startupProbe is None and container.livenessProbe is None:
            return
        for purpose in (Purpose.STARTUP, Purpose.LIVENESS):
            if self.view.verdict(purpose, seen.id) is False:
                probe = container.startupProbe if purpose is Purpose.STARTUP else container.livenessProbe
                own = probe.terminationGracePeriodSeconds if probe is not None else None
                message = f"Container {container.name} failed {purpose.value.lower()} probe, will be restarted"
                self.kills.append(Kill(seen, message, grace_seconds(self.pod) if own is None else own, "Unhealthy"))
                return

    def _backs_off(self, container: Container, exited: ContainerView) -> bool:
        entry, finished = self.view.backoff.get(container.name), exited.finished or exited.created
        if entry is None or entry.stale(finished):
            return False
        left = entry.seconds - (self.view.now - finished).total_seconds()
        if left <= 0:
            return False
        meta = self.pod.metadata
        self.waiting[container.name] = ("CrashLoopBackOff", (
            f"back-off {duration(entry.seconds)} restarting failed container={container.name} "
            f"pod={meta.name}_{meta.namespace}({meta.uid})"))
        self.requeue_seconds = left if self.requeue_seconds is None else min(self.requeue_seconds, left)
        return True


def should_restart_init(pod: Pod, container: Container, exit_code: int) -> bool:
    """A failed init container is tried again unless the pod never restarts."""
    if is_sidecar(container):
        return True
    if container.restartPolicyRules or container.restartPolicy:
        return exit_code != 0 and should_restart(pod, container, exit_code)
    return exit_code != 0 and pod.spec.restartPolicy != "Never"


def duration(seconds: float) -> str:
    """As Go prints a duration of whole seconds: `10s`, `1m20s`, `5m0s`."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"


def as_container(ephemeral: object) -> Container:
    """An ephemeral container as the container that it is to the runtime."""
    names = [name for name in Container.__struct_fields__ if hasattr(ephemeral, name)]
    return Container(**{name: getattr(ephemeral, name) for name in names})
