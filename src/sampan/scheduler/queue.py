"""Pods that wait for a node: those to try now by priority, those backing off, those that nothing can help yet.

A pod that was refused is tried again when something changed that the plugins which refused it care about, after its
back-off, and in any case after five minutes. Source: kube-scheduler `internal/queue/scheduling_queue.go`.
"""

from __future__ import annotations

import asyncio
import heapq
from dataclasses import dataclass, field
from itertools import count

from sampan.aio.backoff import Backoff
from sampan.aio.clock import AsyncClock
from sampan.aio.tasks import Tasks
from sampan.api.core.v1 import Pod

BACKOFF = Backoff(first_seconds=1.0, most_seconds=10.0)
LEFTOVER_SECONDS = 300.0

# which changes can help a pod that these plugins refused
HINTS: dict[str, frozenset[str]] = {
    "NodeUnschedulable": frozenset({"node"}),
    "NodeName": frozenset({"node"}),
    "TaintToleration": frozenset({"node"}),
    "NodeAffinity": frozenset({"node"}),
    "NodePorts": frozenset({"node", "pod deleted"}),
    "NodeResourcesFit": frozenset({"node", "pod deleted"}),
}


@dataclass
class Waiting:
    """A pod in the queue."""

    pod: Pod
    order: int
    attempts: int = 0
    plugins: frozenset[str] = field(default=frozenset())
    due: float = 0.0  # when its back-off ends
    since: float = 0.0  # when it was refused


class SchedulingQueue:
    """All methods run on the event loop; only `pop` waits."""

    def __init__(self, clock: AsyncClock) -> None:
        self._clock = clock
        self._pods: dict[str, Waiting] = {}
        self._active: list[tuple[int, int, str]] = []
        self._refused: dict[str, None] = {}
        self._backing: list[tuple[float, int, str]] = []
        self._in_work: str | None = None
        self._missed: set[str] = set()  # what changed while a pod was in work
        self._order = count()
        self._wake = asyncio.Event()

    def __len__(self) -> int:
        return len(self._pods)

    def put(self, pod: Pod) -> None:
        """A pod that waits is new or changed."""
        uid = pod.metadata.uid
        known = self._pods.get(uid)
        if known is None:
            self._pods[uid] = Waiting(pod, next(self._order))
            self._activate(uid)
            return
        changed = known.pod.spec != pod.spec or known.pod.metadata.labels != pod.metadata.labels
        known.pod = pod
        if changed and uid in self._refused:
            self._move(uid)

    def remove(self, uid: str) -> None:
        """A pod was bound or deleted."""
        self._pods.pop(uid, None)
        self._refused.pop(uid, None)

    def get(self, uid: str) -> Waiting | None:
        """A pod that waits."""
        return self._pods.get(uid)

    def changed(self, what: str) -> None:
        """Something changed in the cluster ("node", "pod deleted"): move what it can help."""
        if self._in_work is not None:
            self._missed.add(what)
        for uid in [uid for uid in self._refused if self._helps(what, self._pods[uid])]:
            self._move(uid)

    @staticmethod
    def _helps(what: str, waiting: Waiting) -> bool:
        return not waiting.plugins or any(what in HINTS.get(plugin, frozenset({what})) for plugin in waiting.plugins)

    def refused(self, uid: str, plugins: frozenset[str]) -> None:
        """The pod that was popped fits nowhere."""
        waiting = self._pods.get(uid)
        missed, self._missed, self._in_work = self._missed, set(), None
        if waiting is None:
            return
        now = self._clock.monotonic()
        waiting.plugins, waiting.since, waiting.due = plugins, now, now + BACKOFF.delay_seconds(waiting.attempts)
        self._refused[uid] = None
        if any(self._helps(what, waiting) for what in missed):
            self._move(uid)

    def failed(self, uid: str) -> None:
        """The pod that was popped could not be bound: try again after its back-off."""
        waiting = self._pods.get(uid)
        if waiting is not None:
            waiting.due = self._clock.monotonic() + BACKOFF.delay_seconds(waiting.attempts)
            self._refused[uid] = None
            self._move(uid)

    def done(self) -> None:
        """The pod that was popped has a node."""
        self._in_work, self._missed = None, set()

    def _move(self, uid: str) -> None:
        self._refused.pop(uid, None)
        waiting = self._pods[uid]
        if waiting.due <= self._clock.monotonic():
            self._activate(uid)
        else:
            heapq.heappush(self._backing, (waiting.due, waiting.order, uid))
            self._wake.set()

    def _activate(self, uid: str) -> None:
        waiting = self._pods[uid]
        heapq.heappush(self._active, (-(waiting.pod.spec.priority or 0), waiting.order, uid))
        self._wake.set()

    def pop_now(self) -> Waiting | None:
        """The next pod to try, if there is one."""
        now = self._clock.monotonic()
        while self._backing and self._backing[0][0] <= now:
            uid = heapq.heappop(self._backing)[2]
            if uid in self._pods:
                self._activate(uid)
        while self._active:
            uid = heapq.heappop(self._active)[2]
            if (waiting := self._pods.get(uid)) is not None:
                waiting.attempts += 1
                self._in_work = uid
                return waiting
        return None

    async def ready(self) -> None:
        """Return when there may be something to pop."""
        while True:
            self._wake.clear()
            if self._active or (self._backing and self._backing[0][0] <= self._clock.monotonic()):
                return
            self._flush_leftover()
            due = self._next_due()
            if due is None:
                await self._wake.wait()
                continue
            async with Tasks() as tasks:  # whichever comes first; the other is cancelled
                tasks.start(self._ring_after(due - self._clock.monotonic()), "queue timer")
                await self._wake.wait()

    async def _ring_after(self, seconds: float) -> None:
        await self._clock.sleep(max(seconds, 0.0))
        self._wake.set()

    def _next_due(self) -> float | None:
        backing = [self._backing[0][0]] if self._backing else []
        leftover = [min(self._pods[uid].since for uid in self._refused) + LEFTOVER_SECONDS] if self._refused else []
        return min(backing + leftover, default=None)

    def _flush_leftover(self) -> None:
        now = self._clock.monotonic()
        for uid in [uid for uid in self._refused if now - self._pods[uid].since >= LEFTOVER_SECONDS]:
            self._move(uid)
