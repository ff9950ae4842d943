"""One pod's life on this node: observe, decide, act, report, until nothing of it is left.

Owns the order of effects for one pod; every worker is one task, so a pod is never acted upon twice at once.
Leaves the decision to `sync`, the status to `status`. Kills and hooks run beside the worker, so that a pod being
stopped still reports and can be stopped faster.
Source: kubelet `pkg/kubelet/pod_workers.go`, `pkg/kubelet/kubelet.go` (SyncPod).
"""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from sampan.aio.clock import AsyncClock
from sampan.aio.tasks import Tasks
from sampan.api import codec
from sampan.api.core.v1 import Container, Pod, PodStatus
from sampan.api.errors import ApiError
from sampan.api.scalars import Time
from sampan.node import hooks
from sampan.node.cgroups import Cgroups
from sampan.node.config import NodeSettings
from sampan.node.env import ConfigProblem, Sources, environment, expanded_command
from sampan.node.fieldref import NodeFacts
from sampan.node.gathering import Gathering
from sampan.node.images import ImagePuller, ImageWait
from sampan.node.observe import Observed, Observer, log_tail, with_messages
from sampan.node.probes.manager import Prober, Subject
from sampan.node.probes.state import has_probes
from sampan.node.references import References
from sampan.node.resources import cgroup_path, pod_resources
from sampan.node.runtimes.base import Runtime
from sampan.node.runtimes.errors import RuntimeFault
from sampan.node.runtimes.spec import DNSConfig, Mount, PodSandboxSpec
from sampan.node.specs import NotRunnable, Prepared, check_user, container_spec, log_folder, sandbox_spec
from sampan.node.status import Ended, is_echo, pod_status, with_addresses
from sampan.node.statuswriter import StatusWriter
from sampan.node.surroundings import dns_config, hosts_file
from sampan.node.sync import (
    Actions,
    BackoffEntry,
    ContainerView,
    Kill,
    PodView,
    Start,
    deadline_passed,
    decide,
    grace_seconds,
    next_backoff,
)
from sampan.node.volumes.manager import MountProblem, VolumeManager

log = logging.getLogger(__name__)

RETRY_SECONDS = 2.0
LEAST_GRACE_SECONDS = 1
MOST_RETRY_SECONDS = 60.0
CREATING = ("ContainerCreating", "")
HOSTS_PATH, MESSAGE_PATH = "/etc/hosts", "/dev/termination-log"


@dataclass(frozen=True)
class Node:
    """What every worker of a node shares."""

    settings: NodeSettings
    runtime: Runtime
    tasks: Tasks
    clock: AsyncClock
    observer: Observer
    prober: Prober
    images: ImagePuller
    volumes: VolumeManager
    references: References
    sources: Sources
    writer: StatusWriter
    facts: Callable[[], NodeFacts]
    host_dns: Callable[[], DNSConfig]
    event: Callable[[Pod, str, str, str], None]
    starting: asyncio.Semaphore
    gathering: Gathering | None = None
    """For pods whose status is about to change; without it every status is told at once."""
    cgroups: Cgroups | None = None
    runtime_scheme: str = ""
    """Of container ids: the runtime's own name."""
    memory_bytes: int = 0


class PodWorker:
    """Works for one pod uid; `update` and `wake` are how others reach it."""

    def __init__(self, node: Node, pod: Pod) -> None:
        self._node, self._pod, self.uid = node, pod, pod.metadata.uid
        self._wake = asyncio.Event()
        self._wake.set()
        self._status: PodStatus = pod.status
        self._backoff: dict[str, BackoffEntry] = {}
        self._waiting: dict[str, tuple[str, str]] = {}
        self._kills: dict[str, tuple[asyncio.Task[Any], int]] = {}
        self._orphaned = False
        self._failures = 0
        self._volumes_ready = False
        self._volumes_stale = True
        self._probed: set[str] = set()
        self._sandbox: PodSandboxSpec | None = None
        self._unsaid: tuple[PodView, dict[str, tuple[str, str]]] | None = None

    def update(self, pod: Pod) -> None:
        """The API's newest version of the pod."""
        before, self._pod = self._pod, pod
        if is_echo(before, pod, self._status):
            return
        self._node.references.hold(pod)
        self._wake.set()

    def wake(self, *, volumes: bool = False) -> None:
        """Something happened: a container, a probe, a volume's object."""
        self._volumes_stale |= volumes
        self._wake.set()

    def orphan(self) -> None:
        """The API has no such pod any more: stop it without reporting."""
        self._orphaned = True
        if self._pod.metadata.deletionTimestamp is None:
            self._pod = codec.clone(self._pod)
            self._pod.metadata.deletionTimestamp = Time.of(self._node.clock.now())
            self._pod.metadata.deletionGracePeriodSeconds = LEAST_GRACE_SECONDS
        self._wake.set()

    async def run(self) -> None:
        """Work until nothing of the pod is left on this node."""
        self._node.references.hold(self._pod)
        timer: asyncio.Task[None] | None = None
        try:
            while True:
                await self._wake.wait()
                await asyncio.sleep(0)  # what the runtime tells of our own last turn is no reason for one more
                self._wake.clear()
                if timer is not None:
                    timer.cancel()
                    timer = None
                finished, again_seconds = await self._safely()
                if finished:
                    return
                if again_seconds is not None:
                    timer = self._node.tasks.start(self._later(again_seconds), "pod timer", keep_going=True)
        finally:
            if timer is not None:
                timer.cancel()

    async def _later(self, seconds: float) -> None:
        await self._node.clock.sleep(max(seconds, 0.01))
        self._wake.set()

    async def _safely(self) -> tuple[bool, float | None]:
        """One turn; a fault of the runtime or the API is told and tried again, ever more slowly."""
        try:
            outcome = await self._turn()
        except (RuntimeFault, ApiError, MountProblem, OSError) as error:
            self._failures += 1
            reason = "FailedMount" if isinstance(error, MountProblem) else getattr(error, "reason", "")
            if isinstance(error, MountProblem):
                self._node.event(self._pod, "Warning", reason, str(error))
            elif isinstance(error, RuntimeFault) and reason == "CreatePodSandboxError":
                self._node.event(self._pod, "Warning", "FailedCreatePodSandBox", f"Failed to create pod sandbox: {error}")
            log.warning("pod waits", extra={"pod": f"{self._pod.metadata.namespace}/{self._pod.metadata.name}", "error": str(error)})
            return False, self._patience_seconds()
        except Exception:
            # a mistake of ours: the log has it whole, and the pod is not left alone for good
            self._failures += 1
            log.exception("a pod's worker failed", extra={"pod": f"{self._pod.metadata.namespace}/{self._pod.metadata.name}"})
            return False, self._patience_seconds()
        self._failures = 0
        return outcome

    def _patience_seconds(self) -> float:
        return min(RETRY_SECONDS * self._failures, MOST_RETRY_SECONDS)

    async def _turn(self) -> tuple[bool, float | None]:
        node, pod = self._node, self._pod
        observed = await self._observe(pod)
        self._probe(pod, observed)
        view = self._view(pod, observed)
        actions = decide(view)
        if self._waiting:
            wanting = {start.container.name for start in actions.starts}
            self._waiting = {name: why for name, why in self._waiting.items() if name in wanting}
        self._unsaid = view, {**self._waiting, **actions.waiting}
        if node.gathering is not None and (actions.create_sandbox or actions.starts):
            node.gathering.begin(self.uid, self._report)
        else:
            self._report()
        if actions.finished:
            return await self._finish(pod, observed)
        again = actions.requeue_seconds
        for kill in actions.kills:
            self._kill(kill, observed)
        if actions.stop_sandbox and observed.sandbox is not None:
            await node.runtime.stop_sandbox(observed.sandbox.id)
            self._wake.set()
        if actions.create_sandbox:
            # the containers follow at once, as in upstream's SyncPod
            observed = await self._create_sandbox(pod, actions, observed)
            actions = decide(self._view(pod, observed))
        if actions.starts and observed.sandbox is not None:
            again = _sooner(again, await self._start_all(pod, actions, observed))
        elif self._volumes_stale and (self._volumes_ready or observed.sandbox is not None):
            await self._refresh_volumes(pod)
        if self._volumes_ready:
            again = _sooner(again, node.volumes.next_refresh_seconds(pod))
        return False, again

    async def _observe(self, pod: Pod) -> Observed:
        observed = await self._node.observer.observe(self.uid)
        if not self._node.settings.files:  # there are none that a message could be in
            return observed
        return with_messages(observed, pod, self._message_file, self._log_tail)

    def _view(self, pod: Pod, observed: Observed) -> PodView:
        known = pod
        if pod.status is not self._status:
            own = {condition.type for condition in self._status.conditions}
            gates = {gate.conditionType for gate in pod.spec.readinessGates}
            # the conditions of others come from the API, ours from what we last said
            foreign = {c.type: c for c in pod.status.conditions if c.type not in own or c.type in gates}
            if foreign:
                conditions = {c.type: c for c in self._status.conditions} | foreign
                self._status = replace(self._status, conditions=list(conditions.values()))
            known = Pod(metadata=pod.metadata, spec=pod.spec, status=self._status, kind=pod.kind, apiVersion=pod.apiVersion)
        return PodView(pod=known, now=self._node.clock.now(), sandbox=observed.sandbox, containers=observed.containers,
                       backoff=self._backoff, verdict=self._node.prober.verdict)

    def _report(self) -> None:
        """Tell how things stood when this turn began."""
        assert self._unsaid is not None
        (view, waiting), self._unsaid, ended, node = self._unsaid, None, None, self._node
        if deadline_passed(view) and view.pod.status.phase not in ("Succeeded", "Failed"):
            ended = Ended("DeadlineExceeded", "Pod was active on the node longer than the specified deadline")
            node.event(self._pod, "Normal", "DeadlineExceeded", ended.message)
        self._status = pod_status(view, waiting, node.facts().ips, node.runtime_scheme, ended)
        if node.gathering is not None:
            node.gathering.end(self.uid)
        if not self._orphaned:
            node.writer.put(self._pod, self._status)

    # sandbox

    async def _create_sandbox(self, pod: Pod, actions: Actions, observed: Observed) -> Observed:
        node = self._node
        for old in observed.old_sandboxes:
            await node.runtime.remove_sandbox(old)
        await node.references.ready(self.uid)
        await node.volumes.set_up(pod)
        self._volumes_ready, self._volumes_stale = True, False
        if node.cgroups is not None:
            node.cgroups.make(cgroup_path(node.settings.cgroup_root, pod), pod_resources(pod))
        spec = self._sandbox = self._sandbox_spec(pod, actions.sandbox_attempt)
        if node.settings.files:
            Path(spec.log_directory).mkdir(parents=True, exist_ok=True)
        async with node.starting:
            made = await node.runtime.run_sandbox(spec)
        self._wake.set()
        if observed.sandbox is None and not observed.containers:
            return await node.observer.begun(self.uid, made)
        return await self._observe(pod)

    def _sandbox_spec(self, pod: Pod, attempt: int) -> PodSandboxSpec:
        if self._sandbox is not None and self._sandbox.attempt == attempt:
            return self._sandbox
        settings = self._node.settings
        dns = dns_config(pod, cluster_dns=settings.cluster_dns, domain=settings.cluster_domain, host=self._node.host_dns())
        return sandbox_spec(pod, attempt, dns, settings)

    async def _refresh_volumes(self, pod: Pod) -> None:
        """Bring the files of a pod that runs up to date; also those of a pod that was there before this agent."""
        if not self._volumes_ready:
            await self._node.references.ready(self.uid)
        self._volumes_stale = False
        try:
            await self._node.volumes.set_up(pod)
            self._volumes_ready = True
        except MountProblem as error:
            # the files stay as they were: a running pod does not lose its volume with the object
            self._node.event(pod, "Warning", "FailedMount", str(error))
        except ApiError:
            self._volumes_stale = True  # no token without the API: tried again
            raise

    # containers

    async def _start_all(self, pod: Pod, actions: Actions, observed: Observed) -> float | None:
        if not self._volumes_ready:  # this agent has been restarted since
            await self._node.references.ready(self.uid)
            await self._node.volumes.set_up(pod)
            self._volumes_ready, self._volumes_stale = True, False
        again: float | None = None
        for start in actions.starts:
            again = _sooner(again, await self._start(pod, start, observed))
        return again

    async def _start(self, pod: Pod, start: Start, observed: Observed) -> float | None:
        """Start one container; returns when to try again where that did not work."""
        node, container = self._node, start.container
        assert observed.sandbox is not None
        secrets = [node.sources.secret(pod.metadata.namespace, ref.name) for ref in pod.spec.imagePullSecrets]
        image = await node.images.ensure(pod, container, secrets, self.wake)
        if isinstance(image, ImageWait):
            self._wait(container, image.reason, image.message)
            return image.again_seconds
        previous = observed.containers.get(container.name, ())
        if previous and previous[0].state == "exited":
            finished = previous[0].finished or previous[0].created
            self._backoff[container.name] = next_backoff(self._backoff.get(container.name), finished, node.clock.now())
        try:
            check_user(pod, container, image.uid, image.username)
            prepared = self._prepare(pod, container, start.attempt, image.id, observed)
        except (ConfigProblem, NotRunnable, MountProblem) as error:
            self._wait(container, "CreateContainerConfigError", str(error))
            node.event(pod, "Warning", "Failed", f"Error: {error}")
            return RETRY_SECONDS * 5
        spec = container_spec(pod, container, start.attempt, prepared, node_memory_bytes=node.memory_bytes,
                              target_id=self._target(pod, container, observed))
        try:
            async with node.starting:
                container_id = await node.runtime.create_container(observed.sandbox.id, spec, self._sandbox_spec(pod, observed.sandbox.attempt))
                node.event(pod, "Normal", "Created", f"Container created: {container.name}")
                await node.runtime.start_container(container_id)
        except RuntimeFault as error:
            self._wait(container, error.reason, str(error))
            node.event(pod, "Warning", "Failed", f"Error: {error}")
            self._wake.set()
            return RETRY_SECONDS
        node.event(pod, "Normal", "Started", f"Container started: {container.name}")
        await self._remove_old(previous)
        if container.lifecycle is not None and container.lifecycle.postStart is not None:
            node.tasks.start(self._post_start(pod, container, container_id, observed), f"postStart {container.name}", keep_going=True)
        self._wake.set()
        return None

    def _wait(self, container: Container, reason: str, message: str) -> None:
        if self._waiting.get(container.name) != (reason, message):
            self._waiting[container.name] = (reason, message)
            if (reason, message) != CREATING:  # that is what is said of it without a reason
                self._wake.set()  # report it

    @staticmethod
    def _target(pod: Pod, container: Container, observed: Observed) -> str:
        for ephemeral in pod.spec.ephemeralContainers:
            if ephemeral.name == container.name and ephemeral.targetContainerName:
                attempts = observed.containers.get(ephemeral.targetContainerName, ())
                return attempts[0].id if attempts else ""
        return ""

    async def _remove_old(self, previous: tuple[ContainerView, ...]) -> None:
        """Keep one dead container a name: `kubectl logs --previous` and lastState need no more."""
        for view in previous[1:]:
            await self._node.runtime.remove_container(view.id)
        for view in previous:
            self._node.prober.forget(view.id)

    def _prepare(self, pod: Pod, container: Container, attempt: int, image: str, observed: Observed) -> Prepared:
        node = self._node
        assert observed.sandbox is not None
        # a sandbox of this very turn has an address that no status has told yet
        facts = node.facts()
        status = with_addresses(self._status, facts.ips[:1] if pod.spec.hostNetwork else observed.sandbox.ips)
        env = environment(Pod(metadata=pod.metadata, spec=pod.spec, status=status), container, node.sources, facts)
        command, args = expanded_command(container, env)
        mounts = node.volumes.mounts(pod, container, env)
        taken = {mount.container_path for mount in mounts}
        if not pod.spec.hostNetwork and HOSTS_PATH not in taken and node.settings.manage_mounts:
            mounts.append(Mount(HOSTS_PATH, str(self._hosts_file(pod, observed.sandbox.ips))))
        if node.settings.manage_mounts:
            path = self._message_file(container.name, str(attempt))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(mode=0o666)
            path.chmod(0o666)
            mounts.append(Mount(container.terminationMessagePath or MESSAGE_PATH, str(path)))
        return Prepared(image, env, command, args, tuple(mounts))

    def _hosts_file(self, pod: Pod, ips: tuple[str, ...]) -> Path:
        path = self._node.volumes.pod_folder(self.uid) / "etc-hosts"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(hosts_file(pod, ips, self._node.settings.cluster_domain))
        path.chmod(0o644)
        return path

    def _message_file(self, container: str, attempt: str) -> Path:
        return self._node.volumes.pod_folder(self.uid) / "containers" / container / attempt

    def _log_tail(self, view: ContainerView) -> bytes:
        return log_tail(self._node.settings.log_root / log_folder(self._pod) / view.name / f"{view.attempt}.log")

    async def _post_start(self, pod: Pod, container: Container, container_id: str, observed: Observed) -> None:
        assert container.lifecycle is not None
        assert container.lifecycle.postStart is not None
        try:
            await hooks.run(container.lifecycle.postStart, container, container_id, self._ip(observed), self._node.runtime, self._node.clock)
        except (hooks.HookFailed, TimeoutError) as error:
            self._node.event(pod, "Warning", "FailedPostStartHook", f"PostStartHook failed: {error}")
            await self._node.runtime.stop_container(container_id, float(grace_seconds(pod)))

    def _ip(self, observed: Observed) -> str:
        if self._pod.spec.hostNetwork or observed.sandbox is None or not observed.sandbox.ips:
            ips = self._node.facts().ips
            return ips[0] if ips else "127.0.0.1"
        return observed.sandbox.ips[0]

    # probes and kills

    def _probe(self, pod: Pod, observed: Observed) -> None:
        specs = {c.name: c for c in [*pod.spec.initContainers, *(pod.spec.containers or ())] if has_probes(c)}
        if not specs and not self._probed:
            return
        running = set()
        for name, views in observed.containers.items():
            for view in views:
                if view.state == "running" and name in specs and view.id not in self._kills:
                    running.add(view.id)
                    self._node.prober.watch(Subject(pod, specs[name], view.id, self._ip(observed)))
        for gone in self._probed - running:
            self._node.prober.forget(gone)
        self._probed = running

    def _kill(self, kill: Kill, observed: Observed) -> None:
        grace = max(kill.grace_seconds, LEAST_GRACE_SECONDS)
        running = self._kills.get(kill.view.id)
        if running is not None and not running[0].done():
            if grace >= running[1]:
                return
            running[0].cancel()
        elif kill.reason == "Unhealthy" or running is None:
            self._node.event(self._pod, "Normal", "Killing", kill.message)
        task = self._node.tasks.start(self._stop(kill, grace, self._ip(observed)), f"stop {kill.view.name}", keep_going=True)
        self._kills[kill.view.id] = (task, grace)

    async def _stop(self, kill: Kill, grace: int, pod_ip: str) -> None:
        node, pod, started = self._node, self._pod, self._node.clock.monotonic()
        spec = next((c for c in [*(pod.spec.containers or ()), *pod.spec.initContainers] if c.name == kill.view.name), None)
        if spec is not None and spec.lifecycle is not None and spec.lifecycle.preStop is not None:
            try:
                async with asyncio.timeout(grace):
                    await hooks.run(spec.lifecycle.preStop, spec, kill.view.id, pod_ip, node.runtime, node.clock, timeout_seconds=grace)
            except (hooks.HookFailed, TimeoutError) as error:
                node.event(pod, "Warning", "FailedPreStopHook", f"PreStopHook failed: {error}")
        left = max(float(LEAST_GRACE_SECONDS), grace - (node.clock.monotonic() - started))
        try:
            await node.runtime.stop_container(kill.view.id, left)
        except RuntimeFault as error:
            log.warning("container does not stop", extra={"container": kill.view.id, "error": str(error)})
            await node.clock.sleep(RETRY_SECONDS)
            self._kills.pop(kill.view.id, None)
        self._wake.set()

    # the end

    async def _finish(self, pod: Pod, observed: Observed) -> tuple[bool, float | None]:
        """Everything is dead. A pod that is being deleted goes, with all that it had; a finished one stays listed."""
        node = self._node
        if pod.metadata.deletionTimestamp is None and not self._orphaned:
            return False, None
        if not self._orphaned:
            await node.writer.flush(pod.metadata.uid)
        for sandbox in [*observed.old_sandboxes, *([observed.sandbox.id] if observed.sandbox is not None else [])]:
            await node.runtime.remove_sandbox(sandbox)
        if node.settings.files:
            await asyncio.to_thread(self._clean, pod)
        else:
            node.volumes.tear_down(self.uid)
        if not self._orphaned:
            await node.writer.delete(pod)
        node.writer.forget(self.uid)
        for container_id in self._probed:
            node.prober.forget(container_id)
        node.images.forget(self.uid)
        node.references.release(self.uid)
        node.observer.forget(self.uid)
        return True, None

    def _clean(self, pod: Pod) -> None:
        self._node.volumes.tear_down(self.uid)
        shutil.rmtree(self._node.settings.log_root / log_folder(pod), ignore_errors=True)
        if self._node.cgroups is not None:
            self._node.cgroups.remove(cgroup_path(self._node.settings.cgroup_root, pod))


def _sooner(first: float | None, second: float | None) -> float | None:
    if first is None or second is None:
        return second if first is None else first
    return min(first, second)
