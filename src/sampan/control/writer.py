"""Applying a `Plan`: writes in order, creations in growing batches, and memory of what the caches have not seen yet.

Owns slow start (1, 2, 4, … creations at once; a failure stops the rest), uid preconditions of deletions and
*expectations*: `fresh(key)` is false while a cache is older than what was written for that key, or may have been (an answer
was lost), so that nothing is ever created twice from a stale cache. Leaves what to write to `decide` functions.
Source: kube-controller-manager `controller_utils.go` (slowStartBatch, ControllerExpectations); resource versions of
one store are comparable numbers, so "has the cache seen my write" is a comparison.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from sampan.api.errors import ApiError, Conflict, NotFound
from sampan.client.base import MERGE_PATCH, STRATEGIC_PATCH, Client, DeleteOptions
from sampan.control.events import EventRecorder
from sampan.control.informer import Informer, Informers, newest
from sampan.control.key import Key, meta_of, revision_of, uid_of
from sampan.kinds.plan import Create, Delete, EventRecord, Patch, Plan, Update, Write

log = logging.getLogger(__name__)

Tell = Callable[[Write, Any], EventRecord | None]

BATCH = 100  # writes of one plan that are under way at once, at most
UNSURE_CODE = 500  # an error from there on may come after the write took effect
DELETION_TIMEOUT_SECONDS = 300.0  # upstream's ExpectationsTimeout: then a deletion is tried again


@dataclass
class Outcome:
    """What became of a plan: which writes were done, the server's answers (deletions have none), which failed, how many were left out then."""

    done: list[Write] = field(default_factory=list)
    answers: list[Any] = field(default_factory=list)
    failures: list[tuple[Write, ApiError]] = field(default_factory=list)
    skipped: int = 0

    @property
    def ended(self) -> bool:
        """An update or a patch failed: all that follows may depend on it."""
        return any(isinstance(write, Update | Patch) for write, _ in self.failures)

    def raise_first(self) -> None:
        """Raise the first failure, if there was one.

        Raises:
            ApiError: Of the first write that failed.
        """
        if self.failures:
            raise self.failures[0][1]


@dataclass
class _Expected:
    revisions: dict[Informer[Any], int] = field(default_factory=dict)
    deletions: dict[tuple[Informer[Any], Key], tuple[str, float]] = field(default_factory=dict)
    unsure: dict[Informer[Any], Create] = field(default_factory=dict)


class Writer:
    """Applies plans for one controller. `wake(key)` is called when the caches have caught up with a key."""

    def __init__(self, client: Client, informers: Informers, *, wake: Callable[[Key], None],
                 monotonic: Callable[[], float], recorder: EventRecorder | None = None) -> None:
        self._client, self._informers, self._wake, self._recorder = client, informers, wake, recorder
        self._monotonic = monotonic
        self._expected: dict[Key, _Expected] = {}

    def fresh(self, key: Key) -> bool:
        """Whether every cache has seen what was written for `key`; if not, `wake(key)` comes once they have.

        A reconcile that finds it false returns at once.
        """
        expected = self._expected.get(key)
        if expected is None:
            return True
        for informer, revision in list(expected.revisions.items()):
            if informer.revision < revision:
                informer.when(revision, lambda: self._wake(key))
                return False
            del expected.revisions[informer]
        for (informer, place), (uid, until) in list(expected.deletions.items()):
            obj = informer.get(place)
            if obj is not None and uid_of(obj) == uid and meta_of(obj).deletionTimestamp is None \
                    and self._monotonic() < until:
                return False  # the change of that object wakes its owner
            del expected.deletions[informer, place]
        if not expected.unsure:
            del self._expected[key]
        return True

    def forget(self, key: Key) -> None:
        """The object of this key is gone."""
        self._expected.pop(key, None)

    def wrote(self, key: Key, resource: Any, answer: Any) -> None:
        """Remember a write that was not made by `apply`: its answer's revision must have been seen."""
        informer = self._informers.known(resource)
        if informer is not None and answer is not None:
            expected = self._expected.setdefault(key, _Expected())
            expected.revisions[informer] = max(expected.revisions.get(informer, 0), revision_of(answer))

    async def apply(self, key: Key, plan: Plan, *, tell: Tell | None = None) -> Outcome:
        """Do the plan's writes in order; when all went well record its events.

        Runs of creations go out in growing batches, runs of deletions or of patches (of different objects) together. `tell(write, answer or error)`
        may give an event for each. A failed update or patch ends the plan, after a failed creation or deletion only deletions go on;
        a deletion of what is gone is no failure.
        Failures are returned, not raised.
        """
        outcome = Outcome()
        for kind, run in groupby(plan.writes, type):
            for batch in _batches(list(run), kind):
                if outcome.ended or (outcome.failures and kind is not Delete):
                    outcome.skipped += len(batch)
                    continue
                await self._batch(key, batch, tell, outcome)
        if not outcome.failures:
            for event in plan.events:
                self.tell(event)
        return outcome

    async def do(self, key: Key, plan: Plan, *, tell: Tell | None = None) -> Outcome:
        """`apply`, and raise the first failure.

        Raises:
            ApiError: Of the first write that failed.
        """
        outcome = await self.apply(key, plan, tell=tell)
        outcome.raise_first()
        return outcome

    def tell(self, event: EventRecord | None) -> None:
        """Record an event."""
        if event is not None and self._recorder is not None:
            self._recorder.emit(event)

    async def _batch(self, key: Key, batch: Sequence[Write], tell: Tell | None, outcome: Outcome) -> None:
        if len(batch) == 1:
            answers: list[Any] = [await self._guarded(key, batch[0])]
        else:
            answers = await asyncio.gather(*(self._guarded(key, write) for write in batch))
        for write, answer in zip(batch, answers, strict=True):
            if isinstance(answer, ApiError):
                if isinstance(write, Delete) and (isinstance(answer, NotFound) or (isinstance(answer, Conflict) and not write.resource_version)):
                    outcome.done.append(write)
                    continue
                outcome.failures.append((write, answer))
            else:
                outcome.done.append(write)
                if not isinstance(write, Delete):
                    outcome.answers.append(answer)
            if tell is not None:
                self.tell(tell(write, answer))
        unsure = [write for write, answer in zip(batch, answers, strict=True)
                  if isinstance(write, Create) and isinstance(answer, ApiError) and answer.code >= UNSURE_CODE]
        if unsure:
            await self._expect_like(key, unsure[0])

    async def _expect_like(self, key: Key, write: Create) -> None:
        """The answer to a creation was lost: what the server has of its like by now must have been seen before more is created."""
        informer = self._informers.known(write.resource)
        if informer is None:
            return
        self._expected.setdefault(key, _Expected()).unsure[informer] = write
        try:
            await self.catch_up(key)
        except ApiError as error:
            log.debug("it is not known what was created", extra={"key": str(key), "resource": write.resource.group_resource, "error": str(error)})

    async def catch_up(self, key: Key) -> None:
        """Ask what became of creations whose answers were lost, if that could not be told at the time; `fresh` waits for it then.

        Raises:
            ApiError: It still can't be told: nothing may be created on what the cache says.
        """
        expected = self._expected.get(key)
        if expected is None:
            return
        for informer, write in list(expected.unsure.items()):
            meta = meta_of(write.object)
            labels = ",".join(f"{name}={value}" for name, value in sorted(meta.labels.items()))
            page = await self._client.list(write.resource, meta.namespace, labels=labels)
            expected.revisions[informer] = max(expected.revisions.get(informer, 0), newest(page.items))
            expected.unsure.pop(informer, None)

    async def _guarded(self, key: Key, write: Write) -> Any:
        try:
            return await self._write(key, write)
        except ApiError as error:
            return error

    def _write(self, key: Key, write: Write) -> Coroutine[Any, Any, Any]:
        if isinstance(write, Delete):
            return self._delete(key, write)
        return self._change(key, write)

    async def _change(self, key: Key, write: Create | Update | Patch) -> Any:
        if isinstance(write, Create):
            answer = await self._client.create(write.resource, write.object)
        elif isinstance(write, Update):
            answer = await self._client.update(write.resource, write.object, subresource=write.subresource)
        else:
            answer = await self._client.patch(write.resource, write.name, write.namespace, write.patch,
                                              type=STRATEGIC_PATCH if write.strategic else MERGE_PATCH, subresource=write.subresource)
        self.wrote(key, write.resource, answer)
        return answer

    async def _delete(self, key: Key, write: Delete) -> None:
        informer, place = self._informers.known(write.resource), Key(write.namespace, write.name)
        if informer is not None and write.uid:
            expected = self._expected.setdefault(key, _Expected())
            expected.deletions[informer, place] = (write.uid, self._monotonic() + DELETION_TIMEOUT_SECONDS)
        options = DeleteOptions(grace_period_seconds=write.grace_period_seconds, propagation=write.propagation,
                                uid=write.uid, resource_version=write.resource_version)
        try:
            await self._client.delete(write.resource, write.name, write.namespace, options)
        except ApiError:
            if informer is not None and key in self._expected:
                self._expected[key].deletions.pop((informer, place), None)
            raise


def _batches(run: list[Write], kind: type) -> Iterator[list[Write]]:
    """Creations 1, 2, 4, …; deletions and patches as many as allowed; updates one by one."""
    size, start = {Create: 1, Delete: BATCH, Patch: BATCH}.get(kind, 1), 0
    while start < len(run):
        yield run[start:start + size]
        start += size
        if kind is Create:
            size = min(size * 2, BATCH)
