"""The reconcile loop: keys from a work queue, N workers, errors retried with back-off.

Owns the loop and what components are made with (`Context`). Leaves decisions to `decide` functions and writes to
`sampan.control.writer`. A reconcile that fails never ends the loop: it is logged and tried again later.
Source: controller-runtime `pkg/internal/controller`, the worker loops of kube-controller-manager.
"""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from sampan.aio.backoff import Backoff
from sampan.aio.clock import AsyncClock
from sampan.aio.tasks import Tasks
from sampan.api.errors import ApiError, Conflict, NotFound
from sampan.client.base import Client
from sampan.control.events import EventRecorder
from sampan.control.informer import Informer, Informers
from sampan.control.key import Key, key_of
from sampan.control.queue import BACKOFF, WorkQueue
from sampan.control.writer import Writer
from sampan.lib.clock import Identity
from sampan.lib.errors import SampanError

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Result:
    """What a reconcile says when it did not fail; `requeue_after_seconds`: look again then."""

    requeue_after_seconds: float | None = None


DONE = Result()


class Postponed(SampanError):
    """What is in the way has been told; a reconcile raises this to be called again with back-off."""


Reconcile = Callable[[Key], Awaitable[Result | None]]


@dataclass(frozen=True)
class Context:
    """What a controller is made with. `client` acts as the controller's own user; `informers` are the process's."""

    client: Client
    informers: Informers
    clock: AsyncClock
    identity: Identity


class Component(Protocol):
    """What a process runs: works until cancelled and cleans up behind itself."""

    name: str

    async def run(self) -> None: ...

    def idle(self) -> bool:
        """Nothing is queued or in work; what waits for its time does not count."""
        ...


class ControlLoop:
    """`workers` tasks that take keys from `queue` and call `reconcile`, once `wait_for` have synced."""

    def __init__(self, name: str, reconcile: Reconcile, clock: AsyncClock, *, workers: int = 5,
                 wait_for: Sequence[Informer[Any]] = (), queue: WorkQueue[Key] | None = None) -> None:
        self.name = name
        self.queue: WorkQueue[Key] = WorkQueue(clock) if queue is None else queue  # an empty one is false
        self._reconcile, self._workers, self._wait_for = reconcile, workers, list(wait_for)

    def enqueue(self, obj: Any) -> None:
        """Queue the key of an object."""
        self.queue.add(key_of(obj))

    def watch(self, informer: Informer[Any], keys: Callable[[Any], Sequence[Key]] | None = None, *, gathered: bool = False) -> None:
        """Queue `keys(obj)` of the old and the new state at each change (default: the object's own key).

        `gathered`: a little later, for objects of which many belong to one key (see `WorkQueue.add_gathered`).
        """
        add = self.queue.add_gathered if gathered else self.queue.add

        def changed(old: Any, new: Any) -> None:
            if keys is None:
                add(key_of(old if new is None else new))
                return
            if old is not None:
                for key in keys(old):
                    add(key)
            if new is not None:
                for key in keys(new):
                    add(key)
        self.wait_for(informer)
        informer.on_change(changed)

    def wait_for(self, *informers: Informer[Any]) -> None:
        """Start the workers only once these have synced, too."""
        self._wait_for += informers

    def idle(self) -> bool:
        """See `Component.idle`."""
        return self.queue.idle()

    async def run(self) -> None:
        """Work until cancelled."""
        for informer in self._wait_for:
            await informer.synced.wait()
        try:
            async with Tasks() as tasks:
                for number in range(self._workers):
                    tasks.start(self._work(), f"{self.name} worker {number}")
                await tasks.wait()
        finally:
            await self.queue.close()

    async def _work(self) -> None:
        while True:
            key = await self.queue.get()
            try:
                await self._one(key)
            finally:
                self.queue.done(key)
            # a client in this process may never wait: let the caches and the other loops have their turn
            await asyncio.sleep(0)

    async def _one(self, key: Key) -> None:
        try:
            result = await self._reconcile(key)
        except asyncio.CancelledError:
            raise
        except (Conflict, NotFound) as error:
            # somebody was quicker: the cache will tell what became of it
            delay = self.queue.add_rate_limited(key)
            log.debug("reconcile was overtaken", extra=self._about(key, error, delay))
        except (ApiError, Postponed) as error:
            delay = self.queue.add_rate_limited(key)
            log.warning("reconcile failed, will be tried again", extra=self._about(key, error, delay))
        except Exception as error:
            delay = self.queue.add_rate_limited(key)
            log.exception("reconcile failed unexpectedly, will be tried again", extra=self._about(key, error, delay))
        else:
            self.queue.forget(key)
            if result is not None and result.requeue_after_seconds is not None:
                self.queue.add_after(key, result.requeue_after_seconds)

    def _about(self, key: Key, error: Exception, delay: float) -> dict[str, object]:
        return {"controller": self.name, "key": str(key), "error": str(error), "retry_seconds": round(delay, 3)}


class Controller(ABC):
    """What most controllers are: one loop over one resource's keys, a writer and a recorder.

    A subclass names itself, watches in `__init__` (`self.loop.watch`) and reconciles one key. Loops over keys of another
    resource go `beside` it.
    """

    name: str
    component: str = ""
    """The name in events' source where it is not `name`."""
    backoff: Backoff = BACKOFF
    """How long a key that failed waits."""

    def __init__(self, context: Context, *, workers: int = 5) -> None:
        self.client, self.informers = context.client, context.informers
        self.clock, self.identity = context.clock, context.identity
        self.loop = ControlLoop(self.name, self.reconcile, context.clock, workers=workers, queue=WorkQueue(context.clock, backoff=self.backoff))
        self.beside: list[ControlLoop] = []
        self.recorder = EventRecorder(context.client, self.component or self.name, clock=context.clock,
                                      identity=context.identity)
        self.writer = Writer(context.client, context.informers, wake=self.loop.queue.add,
                             monotonic=context.clock.monotonic, recorder=self.recorder)

    @abstractmethod
    async def reconcile(self, key: Key) -> Result | None:
        """Bring the object of this key to what it should be; its absence is an ordinary answer."""

    def idle(self) -> bool:
        """See `Component.idle`."""
        return self.loop.idle() and self.recorder.idle() and all(loop.idle() for loop in self.beside)

    async def run(self) -> None:
        """Work until cancelled."""
        async with Tasks() as tasks:
            tasks.start(self.recorder.run(), f"{self.name} events")
            tasks.start(self.loop.run(), f"{self.name} loop")
            for loop in self.beside:
                tasks.start(loop.run(), loop.name)
            await tasks.wait()


@dataclass(frozen=True)
class ControllerEntry:
    """One line in a list of controllers.

    `name` is upstream's (as in `--controllers`), `account` its service account in kube-system (empty: it acts as the process does);
    `make(context, settings)` gives the component, or None where a setting that it can't do without is missing. `by_default`: `*` includes it.
    """

    name: str
    account: str
    make: Callable[[Context, Any], Component | None]
    by_default: bool = True
