"""Pods that wait for a node: those to try now by priority, those backing off, those that nothing can help yet.

A pod that was refused is tried again when something changed that a plugin which refused it says can help, after its
back-off (at once where nothing else is to be tried), and in any case after five minutes. Of pods that are as important
the one whose turn is longest ago comes first. A pod for which room is being made is held until that is done.
Source: kube-scheduler `backend/queue/{scheduling_queue,active_queue,backoff_queue}.go`.

    ACTIVE → IN_WORK → (bound) | REFUSED | HELD → REFUSED;  REFUSED → BACKING → ACTIVE
"""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from itertools import count
from typing import Any

from sampan.aio.backoff import Backoff
from sampan.aio.clock import AsyncClock
from sampan.aio.tasks import Tasks
from sampan.api.core.v1 import Pod
from sampan.scheduler.plugins.base import Change
from sampan.scheduler.shape import Shape, same_shape

BACKOFF = Backoff(first_seconds=1.0, most_seconds=10.0)
LEFTOVER_SECONDS = 300.0
WINDOW_SECONDS = 1.0  # back-offs that end so close together are alike: the more important pod comes first
MOST_MISSED = 64  # beyond these it is cheaper to try than to ask


class State(Enum):
    ACTIVE = "to be tried"
    IN_WORK = "being tried"
    HELD = "room is being made"
    REFUSED = "nothing can help yet"
    MOVING = "between two of the others, within one call"
    BACKING = "something may help, once its back-off ends"


@dataclass
class Waiting:
    """A pod in the queue."""

    pod: Pod
    order: int
    state: State = State.ACTIVE
    attempts: int = 0
    shape: Shape | None = None  # of the last attempt
    read: Shape | None = None  # of `pod` as it is, once somebody has asked
    plugins: frozenset[str] = field(default=frozenset())
    nominated: int = -1
    due: float = 0.0  # when its back-off ends
    since: float = 0.0  # when it was refused
    ticket: int = 0  # entries of heaps with another one are stale
    left: int = 0  # how many changes there had been when it was taken out to be tried

    @property
    def group(self) -> Group:
        return self.shape, self.plugins


Group = tuple[Shape | None, frozenset[str]]
Helps = Callable[[Change, Waiting], bool]


class SchedulingQueue:
    """All methods run on the event loop; only `ready` waits. `helps` decides for all pods of a group at once."""

    def __init__(self, clock: AsyncClock, helps: Helps, backoff: Backoff = BACKOFF) -> None:
        self._clock, self._helps, self._backoff = clock, helps, backoff
        self._pods: dict[str, Waiting] = {}
        self._active: list[tuple[int, int, int, str]] = []
        self._backing: list[tuple[int, int, int, int, str]] = []  # by the window in which the back-off ends
        self._erring: list[tuple[float, int, int, str]] = []  # these do wait until their back-off ends
        self._erred: set[str] = set()
        # by what can help them, then by the row that is nominated for them
        self._refused: dict[Group, dict[int, dict[str, None]]] = {}
        self._since: deque[tuple[float, str]] = deque()  # when each was refused; some are not refused any more
        self._latest: deque[Change] = deque(maxlen=MOST_MISSED)
        self._changes = 0
        self._order = count()
        self._tickets = count(1)
        self._wake = asyncio.Event()

    def __len__(self) -> int:
        return len(self._pods)

    def get(self, uid: str) -> Waiting | None:
        """A pod that waits."""
        return self._pods.get(uid)

    # what happens to pods

    def put(self, pod: Pod) -> None:
        """A pod that waits is new or changed."""
        uid = pod.metadata.uid
        known = self._pods.get(uid)
        if known is None:
            self._pods[uid] = Waiting(pod, next(self._order))
            self._activate(uid)
            return
        before, known.pod = known.pod, pod
        if same_shape(before, pod):
            return
        known.read = None
        changed = before.spec != pod.spec or before.metadata.labels != pod.metadata.labels
        if changed and known.state is State.REFUSED:
            self._move(uid)

    def remove(self, uid: str) -> None:
        """A pod was bound or deleted."""
        if self._pods.get(uid) is not None:
            self._leave(uid)
            del self._pods[uid]

    def refused(self, uid: str, shape: Shape, plugins: frozenset[str], nominated: int = -1) -> None:
        """The pod that was popped fits nowhere."""
        waiting = self._pods.get(uid)
        if waiting is None:
            return
        count_missed = self._changes - waiting.left
        waiting.shape, waiting.plugins, waiting.nominated = shape, plugins, nominated
        self._refuse(uid)
        missed = list(self._latest)[-count_missed:] if count_missed else []
        if count_missed > MOST_MISSED or any(self._helps(change, waiting) for change in missed):
            self._move(uid)

    def hold(self, uid: str) -> None:
        """Do not try the pod that was refused until `release`."""
        if uid in self._pods:
            self._leave(uid)
            self._pods[uid].state = State.HELD
            self._pods[uid].left = self._changes

    def release(self, uid: str, *, now: bool = False) -> None:
        """What the pod was held for is done (`now`: it failed, so look again)."""
        waiting = self._pods.get(uid)
        if waiting is None or waiting.state is not State.HELD:
            return
        assert waiting.shape is not None
        self.refused(uid, waiting.shape, waiting.plugins, waiting.nominated)
        if now and self._is(uid, State.REFUSED):
            self._move(uid)

    def failed(self, uid: str) -> None:
        """The pod that was popped could not be bound: try again after its back-off."""
        if uid in self._pods:
            self._refuse(uid)
            self._erred.add(uid)
            self._move(uid)

    def changed(self, change: Change) -> None:
        """Something changed in the cluster: move what it can help."""
        self._changes += 1
        self._latest.append(change)
        for by_row in list(self._refused.values()):
            # for those that wait for another row it does not matter which
            others = [row for row in by_row if row not in (change.row, -1)]
            for rows in ([change.row], [-1] if change.row >= 0 else [], others):
                first = next((by_row[row] for row in rows if row in by_row), None)
                if first is not None and self._helps(change, self._pods[next(iter(first))]):
                    for row in rows:
                        self._move_all(by_row.get(row, {}))

    def pop_now(self) -> Waiting | None:
        """The next pod to try, if there is one."""
        now = self._clock.monotonic()
        for heap in (self._backing, self._erring):
            while (uid := self._first(heap)) is not None and self._pods[uid].due <= now:
                self._activate(uid)
        uid = self._next()
        if uid is None:
            return None
        self._leave(uid)
        waiting = self._pods[uid]
        waiting.attempts += 1
        waiting.order = next(self._order)
        waiting.state, waiting.left = State.IN_WORK, self._changes
        return waiting

    # waiting

    async def ready(self) -> None:
        """Return when there may be something to pop."""
        while True:
            self._wake.clear()
            self._flush_leftover()
            if self._next() is not None:
                return
            due = self._next_due()
            if due is None:
                await self._wake.wait()
                continue
            if due <= self._clock.monotonic():
                return
            async with Tasks() as tasks:  # whichever comes first; the other is cancelled
                tasks.start(self._ring_after(due - self._clock.monotonic()), "queue timer")
                await self._wake.wait()

    async def _ring_after(self, seconds: float) -> None:
        await self._clock.sleep(max(seconds, 0.0))
        self._wake.set()

    def _next_due(self) -> float | None:
        first = [self._first(heap) for heap in (self._backing, self._erring)]
        backing = [self._pods[uid].due for uid in first if uid is not None]
        refused = [self._since[0][0] + LEFTOVER_SECONDS] if self._since else []
        return min(backing + refused, default=None)

    def _flush_leftover(self) -> None:
        late = self._clock.monotonic() - LEFTOVER_SECONDS
        while self._since:
            since, uid = self._since[0]
            waiting = self._pods.get(uid)
            if waiting is not None and waiting.state is State.REFUSED and waiting.since == since:
                if since > late:
                    return
                self._move(uid)
            self._since.popleft()

    # transitions

    def _is(self, uid: str, state: State) -> bool:
        return self._pods[uid].state is state

    def _leave(self, uid: str) -> None:
        waiting = self._pods[uid]
        if waiting.state is State.REFUSED:
            by_row = self._refused[waiting.group]
            group = by_row[waiting.nominated]
            del group[uid]
            if not group:
                del by_row[waiting.nominated]
                if not by_row:
                    del self._refused[waiting.group]
        waiting.state, waiting.ticket = State.MOVING, 0
        self._erred.discard(uid)

    def _refuse(self, uid: str) -> None:
        self._leave(uid)
        waiting = self._pods[uid]
        now = self._clock.monotonic()
        waiting.state, waiting.since, waiting.due = State.REFUSED, now, now + self._backoff.delay_seconds(waiting.attempts)
        self._refused.setdefault(waiting.group, {}).setdefault(waiting.nominated, {})[uid] = None
        self._since.append((now, uid))
        self._wake.set()

    def _move_all(self, uids: dict[str, None]) -> None:
        for uid in list(uids):
            self._move(uid)

    def _move(self, uid: str) -> None:
        erred = uid in self._erred
        self._leave(uid)
        waiting = self._pods[uid]
        if waiting.due <= self._clock.monotonic():
            self._activate(uid)
            return
        waiting.state, waiting.ticket = State.BACKING, next(self._tickets)
        if erred:
            self._erred.add(uid)
            heapq.heappush(self._erring, (waiting.due, waiting.order, waiting.ticket, uid))
        else:
            window = int(waiting.due // WINDOW_SECONDS)
            heapq.heappush(self._backing, (window, -(waiting.pod.spec.priority or 0), waiting.order, waiting.ticket, uid))
        self._wake.set()

    def _activate(self, uid: str) -> None:
        self._leave(uid)
        waiting = self._pods[uid]
        waiting.state, waiting.ticket = State.ACTIVE, next(self._tickets)
        heapq.heappush(self._active, (-(waiting.pod.spec.priority or 0), waiting.order, waiting.ticket, uid))
        self._wake.set()

    def _first(self, heap: list[Any]) -> str | None:
        while heap:
            *_, ticket, uid = heap[0]
            waiting = self._pods.get(uid)
            if waiting is not None and waiting.ticket == ticket:
                first: str = uid
                return first
            heapq.heappop(heap)
        return None

    def _next(self) -> str | None:
        """With nothing else to try, a pod need not wait out its back-off, unless it met an error."""
        uid = self._first(self._active)
        return uid if uid is not None else self._first(self._backing)
