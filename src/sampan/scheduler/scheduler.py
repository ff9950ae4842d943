"""The scheduler: watches nodes and pods, runs cycles, binds.

One task schedules, others bind: a pod is counted on its node before the API server has answered, and forgotten there
when the binding failed for good. A binding whose answer was lost is looked up before anything else is tried, so none is
made twice. Source: kube-scheduler `scheduler.go`, `schedule_one.go`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any, Literal

from sampan.aio.clock import AsyncClock
from sampan.aio.tasks import Tasks
from sampan.api.core.v1 import Binding, Node, ObjectReference, Pod
from sampan.api.errors import ApiError, Conflict, NotFound
from sampan.api.meta.v1 import ObjectMeta
from sampan.api.resources import NODES, PODS
from sampan.api.scalars import Time
from sampan.client.base import STRATEGIC_PATCH, Client
from sampan.control.informer import Informers
from sampan.kinds.core.pod import is_terminal
from sampan.scheduler.cycle import Placed, Profile, Refused, schedule
from sampan.scheduler.plugins.all import FILTERS, SCORES
from sampan.scheduler.queue import SchedulingQueue, Waiting
from sampan.scheduler.snapshot import PodShape, Snapshot, shape

log = logging.getLogger(__name__)

DEFAULT = Profile("default-scheduler", FILTERS, SCORES)
BINDINGS_AT_ONCE = 64
SLICE_SECONDS = 0.01  # how long cycles may hold the event loop
BIND_TRIES = 5
RETRY_SECONDS = 0.2
EventSink = Callable[[Any, Literal["Normal", "Warning"], str, str], None]


class Scheduler:
    """One scheduler process."""

    def __init__(self, client: Client, informers: Informers, *, clock: AsyncClock, event: EventSink,
                 profiles: Mapping[str, Profile] | None = None) -> None:
        self._client, self._clock, self._event = client, clock, event
        self._profiles = dict(profiles or {DEFAULT.name: DEFAULT})
        self._nodes, self._pods = informers.of(NODES), informers.of(PODS)
        self.snapshot = Snapshot()
        self.queue = SchedulingQueue(clock)
        self._binding: set[str] = set()
        self._gate = asyncio.Semaphore(BINDINGS_AT_ONCE)
        self._turn = 0

    async def run(self) -> None:
        """Work until cancelled."""
        await self._nodes.synced.wait()
        await self._pods.synced.wait()
        self._nodes.on_change(self._node_changed)
        self._pods.on_change(self._pod_changed)
        for node in self._nodes.items():
            self._node_changed(None, node)
        for pod in self._pods.items():
            self._pod_changed(None, pod)
        async with Tasks() as tasks:
            tasks.start(self._loop(tasks), "scheduling")
            await tasks.wait()

    # what changed

    def _node_changed(self, old: Node | None, new: Node | None) -> None:
        if new is None:
            assert old is not None
            self.snapshot.remove_node(old.metadata.name)
            return
        self.snapshot.put_node(new)
        if old is None or old.spec != new.spec or old.metadata.labels != new.metadata.labels or old.status.allocatable != new.status.allocatable:
            self.queue.changed("node")

    def _pod_changed(self, old: Pod | None, new: Pod | None) -> None:
        pod = new or old
        assert pod is not None
        uid = pod.metadata.uid
        if old is not None and new is not None and old.metadata.uid != uid:
            self._pod_changed(old, None)
            old = None
        if new is None or is_terminal(new):
            self.queue.remove(uid)
            if uid in self.snapshot.assigned:
                self.snapshot.remove_pod(uid)
                self.queue.changed("pod deleted")
        elif new.spec.nodeName:
            self.queue.remove(uid)
            self._binding.discard(uid)
            self.snapshot.put_pod(new)
        elif self._mine(new) and uid not in self._binding:
            self.queue.put(new)

    def _mine(self, pod: Pod) -> bool:
        return (pod.spec.schedulerName or DEFAULT.name) in self._profiles and not pod.spec.schedulingGates and pod.metadata.deletionTimestamp is None

    # cycles

    async def _loop(self, tasks: Tasks) -> None:
        while True:
            await self.queue.ready()
            started = self._clock.monotonic()
            while (waiting := self.queue.pop_now()) is not None:
                self._try(waiting, tasks)
                if self._gate.locked() or self._clock.monotonic() - started > SLICE_SECONDS:
                    break
            if self._gate.locked():
                async with self._gate:  # wait for a binding to end
                    pass
            await asyncio.sleep(0)

    def _try(self, waiting: Waiting, tasks: Tasks) -> None:
        pod = waiting.pod
        profile = self._profiles[pod.spec.schedulerName or DEFAULT.name]
        wanted = shape(pod)
        outcome = schedule(wanted, self.snapshot, profile, self._turn)
        if isinstance(outcome, Refused):
            self.queue.refused(pod.metadata.uid, outcome.plugins)
            tasks.start(self._tell_refused(pod, outcome), f"refused {pod.metadata.name}", keep_going=True)
            return
        self.queue.done()
        self._turn = outcome.row + 1 if outcome.row + 1 < len(self.snapshot.alive) else 0
        self.snapshot.assume(wanted, outcome.row)
        self._binding.add(pod.metadata.uid)
        tasks.start(self._bind(wanted, outcome), f"bind {pod.metadata.name}", keep_going=True)

    async def _bind(self, wanted: PodShape, placed: Placed) -> None:
        pod, node = wanted.pod, self.snapshot.nodes[placed.row]
        assert node is not None
        meta, name = pod.metadata, node.metadata.name
        binding = Binding(metadata=ObjectMeta(name=meta.name, namespace=meta.namespace, uid=meta.uid),
                          target=ObjectReference(kind="Node", name=name))
        async with self._gate:
            for attempt in range(BIND_TRIES):
                try:
                    await self._client.create(PODS, binding, meta.namespace, name=meta.name, subresource="binding")
                    self._event(pod, "Normal", "Scheduled", f"Successfully assigned {meta.namespace}/{meta.name} to {name}")
                    self.queue.remove(meta.uid)
                    return
                except (NotFound, Conflict) as error:
                    if await self._bound_elsewhere(pod):
                        return
                    self._give_up(pod, error)
                    return
                except ApiError as error:
                    log.info("binding not answered", extra={"pod": f"{meta.namespace}/{meta.name}", "error": str(error)})
                    if await self._bound_elsewhere(pod):
                        return
                    if not error.retriable or attempt == BIND_TRIES - 1:
                        self._give_up(pod, error)
                        return
                    await self._clock.sleep(RETRY_SECONDS * (attempt + 1))

    async def _bound_elsewhere(self, pod: Pod) -> bool:
        """Whether the API server has the pod on a node, or not at all: then the informer will tell the rest."""
        try:
            found = await self._client.get(PODS, pod.metadata.name, pod.metadata.namespace)
        except NotFound:
            self._forget(pod)
            return True
        except ApiError:
            return False
        if found.metadata.uid != pod.metadata.uid:
            self._forget(pod)
            return True
        return bool(found.spec.nodeName)

    def _forget(self, pod: Pod) -> None:
        uid = pod.metadata.uid
        self._binding.discard(uid)
        self.snapshot.remove_pod(uid)
        self.queue.remove(uid)

    def _give_up(self, pod: Pod, error: ApiError) -> None:
        uid = pod.metadata.uid
        self._binding.discard(uid)
        self.snapshot.remove_pod(uid)
        self._event(pod, "Warning", "FailedScheduling", f"binding rejected: {error.message}")
        self.queue.failed(uid)

    async def _tell_refused(self, pod: Pod, refused: Refused) -> None:
        meta = pod.metadata
        self._event(pod, "Warning", "FailedScheduling", refused.message)
        old = next((c for c in pod.status.conditions if c.type == "PodScheduled"), None)
        if old is not None and (old.status, old.reason, old.message) == ("False", "Unschedulable", refused.message):
            return
        stamp = Time.of(self._clock.now())
        since = old.lastTransitionTime if old is not None and old.status == "False" else stamp
        condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": refused.message,
                     "lastProbeTime": None, "lastTransitionTime": since, "observedGeneration": meta.generation}
        patch = {"metadata": {"uid": meta.uid}, "status": {"conditions": [condition]}}
        try:
            await self._client.patch(PODS, meta.name, meta.namespace, patch, type=STRATEGIC_PATCH, subresource="status")
        except (NotFound, Conflict):
            return  # gone, or another pod of that name
        except ApiError as error:
            log.warning("PodScheduled not written", extra={"pod": f"{meta.namespace}/{meta.name}", "error": str(error)})
