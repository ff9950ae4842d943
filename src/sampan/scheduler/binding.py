"""What follows a decision: volumes and devices first, then the binding; victims' eviction; words for the pod's status.

Owns the calls to the API server and what a lost, late or refused answer means. At most `BINDINGS_AT_ONCE` run.
Source: kube-scheduler `schedule_one.go` (bindingCycle), `framework/preemption/executor.go`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sampan.aio.clock import AsyncClock
from sampan.aio.tasks import Tasks
from sampan.api.core.v1 import Binding, ObjectReference, Pod
from sampan.api.errors import ApiError, Conflict, NotFound
from sampan.api.meta.v1 import ObjectMeta
from sampan.api.resource.v1 import ResourceClaim
from sampan.api.resources import PODS
from sampan.api.scalars import Time
from sampan.client.base import STRATEGIC_PATCH, Client, DeleteOptions
from sampan.scheduler.extenders import Extender, ExtenderError, Post
from sampan.scheduler.plugins.base import Change
from sampan.scheduler.preemption import Candidate
from sampan.scheduler.queue import SchedulingQueue
from sampan.scheduler.reserve import (
    Reserved,
    ReserveError,
    commit_devices,
    commit_volumes,
    deallocate,
    give_back,
    revert,
)
from sampan.scheduler.shape import Shape
from sampan.scheduler.snapshot import Assigned, Snapshot

log = logging.getLogger(__name__)

BINDINGS_AT_ONCE = 64
CALLS_AT_ONCE = 32  # of all that is no binding
BUSY_CALLS = 8  # with so many under way, what only tells about them can wait
TRIES = 5
RETRY_SECONDS = 0.2
INTERRUPTED = "binding was interrupted"
EventSink = Callable[[Any, Literal["Normal", "Warning"], str, str], None]


@dataclass(frozen=True)
class Decision:
    """A pod goes to a node."""

    pod: Pod
    shape: Shape
    row: int
    node: str
    reserved: Reserved | None = None


class _Turns:
    """Of the calls that are no binding, so many run at a time; `calls`: these and those that wait."""

    def __init__(self) -> None:
        self.calls = 0
        self._gate = asyncio.Semaphore(CALLS_AT_ONCE)

    async def __aenter__(self) -> None:
        self.calls += 1
        try:
            await self._gate.acquire()
        except BaseException:
            self.calls -= 1
            raise

    async def __aexit__(self, *_: object) -> None:
        self._gate.release()
        self.calls -= 1


class _Lock(asyncio.Lock):
    """With how many have it or wait for it."""

    users = 0


class _InOrder:
    """One's turn with the lock of a pod; the lock is there as long as somebody has it or waits for it."""

    __slots__ = ("_lock", "_locks", "_uid")

    def __init__(self, locks: dict[str, _Lock], uid: str) -> None:
        self._locks, self._uid = locks, uid

    async def __aenter__(self) -> None:
        self._lock = lock = self._locks.get(self._uid) or self._locks.setdefault(self._uid, _Lock())
        lock.users += 1
        try:
            await lock.acquire()
        except BaseException:
            self._left()
            raise

    async def __aexit__(self, *_: object) -> None:
        self._lock.release()
        self._left()

    def _left(self) -> None:
        self._lock.users -= 1
        if not self._lock.users:
            del self._locks[self._uid]


class Binder:
    """Carries decisions out. All state is the loop's; nothing awaits between reading and writing it."""

    def __init__(self, client: Client, clock: AsyncClock, event: EventSink, snapshot: Snapshot, queue: SchedulingQueue, *,
                 post: Post, extenders: Sequence[Extender] = ()) -> None:
        self._client, self._clock, self._event, self._snapshot, self._queue = client, clock, event, snapshot, queue
        self._post, self._extenders = post, [one for one in extenders if one.bind_verb]
        self.binding: set[str] = set()  # pods that are counted on a node but not seen there
        self._running = 0
        self._turns = _Turns()
        self._locks: dict[str, _Lock] = {}  # by pod
        self._room = asyncio.Event()

    # binding

    @property
    def full(self) -> bool:
        return self._running >= BINDINGS_AT_ONCE

    @property
    def busy(self) -> bool:
        """Pods wait for calls that are under way."""
        return self._running + self._turns.calls >= BUSY_CALLS

    def _in_order(self, pod: Pod) -> _InOrder:
        """What is written about one pod is written in the order in which it was decided: an older word never follows the binding."""
        return _InOrder(self._locks, pod.metadata.uid)

    async def room(self) -> None:
        """Return when another binding may start."""
        while self.full:
            self._room.clear()
            await self._room.wait()

    def start(self, decision: Decision, tasks: Tasks) -> None:
        """Bind in the background; the pod is counted already."""
        self.binding.add(decision.pod.metadata.uid)
        self._running += 1
        tasks.start(self._bind(decision), "bind", keep_going=True)

    def seen(self, uid: str) -> None:
        """The informer has the pod on a node."""
        self.binding.discard(uid)

    async def _bind(self, decision: Decision) -> None:
        failure = INTERRUPTED
        try:
            failure = await self._carry_out(decision)
        finally:
            self._running -= 1
            self._room.set()
            if failure:
                self._forget(decision)
        if failure:
            await self._tell_failure(decision, failure)

    async def _tell_failure(self, decision: Decision, message: str) -> None:
        """A pod that may be bound after all is not told that it is not."""
        pod = decision.pod
        self._event(pod, "Warning", "FailedScheduling", message)
        async with self._in_order(pod):
            try:
                if await self._is_bound(pod.metadata.name, pod.metadata.namespace, pod.metadata.uid):
                    return
            except ApiError as error:
                log.warning("status not written", extra={"pod": f"{pod.metadata.namespace}/{pod.metadata.name}", "error": str(error)})
                return
            await self._write_refusal(pod, message, "", "SchedulerError", nominated_before=decision.reserved is not None)

    async def _carry_out(self, decision: Decision) -> str:
        """Why the pod is not on its node, for all that is known; "": it is."""
        pod = decision.pod
        if decision.reserved is not None:
            if pod.status.nominatedNodeName != decision.node:  # it may take a while: others are told where it is going to be
                async with self._in_order(pod):
                    await self._patch_status(pod, {"nominatedNodeName": decision.node})
            for plugin, commit in (("DynamicResources", self._commit_devices), ("VolumeBinding", self._commit_volumes)):
                try:
                    await commit(decision, decision.reserved)
                except (ApiError, ReserveError) as error:
                    await self._give_back(pod, decision.reserved)
                    return f'running PreBind plugin "{plugin}": {error}'
        extender = next((one for one in self._extenders if one.interested(pod)), None)
        async with self._in_order(pod):
            failure = await (self._bind_by_request(decision) if extender is None else self._bind_by_extender(extender, decision))
        if failure and decision.reserved is not None:
            await self._give_back(pod, decision.reserved)
        return failure

    async def _commit_devices(self, decision: Decision, reserved: Reserved) -> None:
        if any(one.bindingConditions for claim in reserved.claims if claim.status.allocation is not None for one in claim.status.allocation.devices.results):
            self._event(decision.pod, "Normal", "BindingConditionsPending", f"waiting for binding conditions for device on node {decision.node}")
        await commit_devices(reserved, decision.pod, self._client, self._clock, self._snapshot.world)

    async def _commit_volumes(self, decision: Decision, reserved: Reserved) -> None:
        await commit_volumes(reserved, decision.pod, decision.node, self._client, self._clock, self._snapshot.world)

    async def deallocate(self, pod: Pod, claim: ResourceClaim) -> None:
        """Let a claim have other devices than those that are out of the pod's reach; the change of the claim is what wakes the pod."""
        try:
            async with self._turns:
                await deallocate(claim, pod, self._client)
        except ApiError as error:
            log.warning("claim not deallocated", extra={"claim": f"{claim.metadata.namespace}/{claim.metadata.name}", "error": str(error)})

    async def _give_back(self, pod: Pod, reserved: Reserved) -> None:
        """What was made for the pod alone goes when it is not bound."""
        claim = reserved.extended
        if claim is not None and claim.metadata.resourceVersion:  # it was made
            await self._drop_claim(pod, claim)

    async def clear_claim(self, pod: Pod, claim: ResourceClaim) -> None:
        """Delete the claim that an earlier attempt has left; the pod is held meanwhile."""
        dropped = await self._drop_claim(pod, claim)
        self._queue.release(pod.metadata.uid, now=not dropped)

    async def _drop_claim(self, pod: Pod, claim: ResourceClaim) -> bool:
        """Delete the claim of a pod's extended resources, unless the pod is bound after all; where that fails, the next attempt finds it."""
        meta = pod.metadata
        try:
            async with self._turns:
                if not await self._is_bound(meta.name, meta.namespace, meta.uid):
                    await give_back(claim, self._client)
        except ApiError as error:
            log.warning("claim not deleted", extra={"claim": f"{claim.metadata.namespace}/{claim.metadata.name}", "error": str(error)})
            return False
        return True

    async def _is_bound(self, name: str, namespace: str, uid: str) -> bool:
        """As the API server has it; a binding may have been made although all answers said otherwise."""
        try:
            found = await self._client.get(PODS, name, namespace)
        except NotFound:
            return False
        return found.metadata.uid == uid and bool(found.spec.nodeName)

    async def _bind_by_extender(self, extender: Extender, decision: Decision) -> str:
        try:
            await extender.bind(decision.pod, decision.node, self._post)
        except ExtenderError as error:
            return "" if await self._settled(decision) else f"binding rejected: {error}"
        self._bound(decision)
        return ""

    async def _bind_by_request(self, decision: Decision) -> str:
        meta = decision.pod.metadata
        binding = Binding(metadata=ObjectMeta(name=meta.name, namespace=meta.namespace, uid=meta.uid),
                          target=ObjectReference(kind="Node", name=decision.node))
        for attempt in range(TRIES):
            try:
                await self._client.create(PODS, binding, meta.namespace, name=meta.name, subresource="binding")
                self._bound(decision)
                return ""
            except ApiError as error:
                log.info("binding not answered", extra={"pod": f"{meta.namespace}/{meta.name}", "error": str(error)})
                if await self._settled(decision):
                    return ""
                final = isinstance(error, NotFound | Conflict) or not error.retriable
                if final or attempt == TRIES - 1:
                    return f"binding rejected: {error.message}"
                await self._clock.sleep(RETRY_SECONDS * (attempt + 1))
        raise AssertionError("the last try returns")

    def _bound(self, decision: Decision) -> None:
        meta = decision.pod.metadata
        self._event(decision.pod, "Normal", "Scheduled", f"Successfully assigned {meta.namespace}/{meta.name} to {decision.node}")
        self._queue.remove(meta.uid)

    async def _settled(self, decision: Decision) -> bool:
        """Whether the API server has the pod on a node; then the informer tells the rest. A pod that is gone counts too."""
        meta = decision.pod.metadata
        try:
            found = await self._client.get(PODS, meta.name, meta.namespace)
        except NotFound:
            self._gone(decision)
            return True
        except ApiError:
            return False
        if found.metadata.uid != meta.uid:
            self._gone(decision)
            return True
        return bool(found.spec.nodeName)

    def _gone(self, decision: Decision) -> None:
        self._queue.remove(decision.pod.metadata.uid)
        self._forget(decision)

    def _forget(self, decision: Decision) -> None:
        uid = decision.pod.metadata.uid
        if uid in self.binding:  # not seen on a node meanwhile
            self.binding.discard(uid)
            self._snapshot.remove_pod(uid)
            self._queue.changed(Change("pod gone", decision.row, decision.shape))
        if decision.reserved is not None:
            revert(decision.reserved, self._snapshot.world)
        self._queue.failed(uid)

    # preemption

    async def make_room(self, pod: Pod, candidate: Candidate, node: str) -> None:
        """Evict the victims, side by side; the pod is held meanwhile."""
        async with Tasks() as tasks:
            evictions = [tasks.start(self._evicted(pod, one, node), f"evict {one.pod.metadata.name}")
                         for one in candidate.victims if one.pod.metadata.deletionTimestamp is None]
            gone = await asyncio.gather(*evictions)
        self._queue.release(pod.metadata.uid, now=not all(gone))

    async def _evicted(self, pod: Pod, victim: Assigned, node: str) -> bool:
        try:
            async with self._turns:
                await self._evict(pod, victim, node)
        except ApiError as error:
            log.warning("victim not evicted", extra={"pod": victim.pod.metadata.name, "error": str(error)})
            return False
        return True

    async def _evict(self, pod: Pod, victim: Assigned, node: str) -> None:
        meta = victim.pod.metadata
        condition = {"type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler",
                     "message": f"{pod.spec.schedulerName}: preempting to accommodate a higher priority pod",
                     "lastProbeTime": None, "lastTransitionTime": Time.of(self._clock.now()), "observedGeneration": meta.generation}
        try:
            await self._client.patch(PODS, meta.name, meta.namespace, {"metadata": {"uid": meta.uid}, "status": {"conditions": [condition]}},
                                     type=STRATEGIC_PATCH, subresource="status", unread=True)
            await self._client.delete(PODS, meta.name, meta.namespace, DeleteOptions(uid=meta.uid))
        except (NotFound, Conflict):
            return  # gone already, or another pod of that name
        self._event(victim.pod, "Normal", "Preempted", f"Preempted by pod {pod.metadata.uid} on node {node}")

    async def clear_nomination(self, pod: Pod) -> None:
        """No node is nominated for the pod any more."""
        async with self._in_order(pod):
            await self._patch_status(pod, {"nominatedNodeName": None})

    # words

    async def tell_refused(self, pod: Pod, message: str, nominated: str, *, reason: str = "Unschedulable") -> None:
        """The event, and what the pod's status has to say."""
        self._event(pod, "Warning", "FailedScheduling", message)
        async with self._in_order(pod):
            await self._write_refusal(pod, message, nominated, reason)

    async def _write_refusal(self, pod: Pod, message: str, nominated: str, reason: str, *, nominated_before: bool = False) -> None:
        """The condition PodScheduled and the nominated node; written only when they say something new.

        `nominated_before`: a node was nominated since the pod was seen.
        """
        status: dict[str, Any] = {}
        old = next((one for one in pod.status.conditions if one.type == "PodScheduled"), None)
        if old is None or (old.status, old.reason, old.message) != ("False", reason, message):
            stamp = Time.of(self._clock.now())
            since = old.lastTransitionTime if old is not None and old.status == "False" else stamp
            status["conditions"] = [{"type": "PodScheduled", "status": "False", "reason": reason, "message": message, "lastProbeTime": None,
                                     "lastTransitionTime": since, "observedGeneration": pod.metadata.generation}]
        if pod.status.nominatedNodeName != nominated or nominated_before:
            status["nominatedNodeName"] = nominated or None
        if status:
            await self._patch_status(pod, status)

    async def _patch_status(self, pod: Pod, status: dict[str, Any]) -> None:
        meta = pod.metadata
        try:
            async with self._turns:
                await self._client.patch(PODS, meta.name, meta.namespace, {"metadata": {"uid": meta.uid}, "status": status},
                                         type=STRATEGIC_PATCH, subresource="status", unread=True)
        except (NotFound, Conflict):
            return  # gone, or another pod of that name
        except ApiError as error:
            log.warning("status not written", extra={"pod": f"{meta.namespace}/{meta.name}", "error": str(error)})
