"""The scheduler: watches the cluster, runs cycles, makes room, binds.

One task schedules, others bind and evict: a pod is counted on its node before the API server has answered, and forgotten
there when the binding failed for good. A binding whose answer was lost is looked up before anything else is tried, so
none is made twice. Source: kube-scheduler `scheduler.go`, `schedule_one.go`, `eventhandlers.go`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from sampan.aio.backoff import Backoff
from sampan.aio.clock import AsyncClock
from sampan.aio.tasks import Tasks
from sampan.api.core.v1 import Node, Pod
from sampan.api.resource.v1 import ResourceClaim
from sampan.api.resourceinfo import Resource
from sampan.api.resources import NAMESPACES, NODES, PODS, RESOURCE_CLAIMS
from sampan.client.base import Client
from sampan.control.informer import Informers
from sampan.control.key import Key, key_of
from sampan.kinds.core.pod import is_terminal
from sampan.scheduler.binding import Binder, Decision, EventSink
from sampan.scheduler.config import DEFAULT, SchedulerSettings
from sampan.scheduler.cycle import CLAIMS, Filtered, Placed, Profile, Refused, best_row, refusal, run_filters
from sampan.scheduler.dra.extended import LEFT_OVER, left_over, wants_devices
from sampan.scheduler.extenders import Extender, ExtenderError, HttpPost, Post
from sampan.scheduler.plugins.base import Change, PluginError, Reason
from sampan.scheduler.plugins.dynamic_resources import ELSEWHERE, useless_claim
from sampan.scheduler.plugins.node_resources_fit import NodeResourcesFit
from sampan.scheduler.preemption import (
    NONE_LEFT,
    RANK,
    Candidate,
    NoCandidate,
    aftermath,
    candidates,
    preempt,
    start_of,
)
from sampan.scheduler.queue import SchedulingQueue, Waiting
from sampan.scheduler.reserve import ReserveError, reserve
from sampan.scheduler.shape import Shape
from sampan.scheduler.snapshot import Float, Snapshot
from sampan.scheduler.world import CHANGES, RESOURCES

log = logging.getLogger(__name__)

FEW_WAITING = 100  # with more it is found out which of them a pod that left can be news to
SLICE_SECONDS = 0.01  # how long cycles may hold the event loop
Begun = tuple[Pod, Profile, Shape, int]  # an attempt: the last is the row that was nominated, or -1


class Scheduler:
    """One scheduler process."""

    def __init__(self, client: Client, informers: Informers, *, clock: AsyncClock, event: EventSink,
                 settings: SchedulerSettings | None = None, post: Post | None = None) -> None:
        settings = settings or SchedulerSettings({DEFAULT.name: DEFAULT})
        self._clock = clock
        self._profiles, self._extenders = dict(settings.profiles), settings.extenders
        self._by_name = {profile.name: {one.name: one for one in profile.filters} for profile in self._profiles.values()}
        self._nodes, self._pods = informers.of(NODES), informers.of(PODS)
        self._others = [(one, informers.of(one)) for one in RESOURCES]
        self.snapshot = Snapshot()
        self.queue = SchedulingQueue(clock, self._helps, Backoff(settings.first_backoff_seconds, settings.most_backoff_seconds))
        self._http = HttpPost()
        self._post: Post = post or self._http
        self._binder = Binder(client, clock, event, self.snapshot, self.queue, post=self._post, extenders=self._extenders)
        self._awaiting: dict[str, tuple[Pod, Key]] = {}  # pods that are not tried before a resource claim is there
        self._awaited: dict[Key, set[str]] = {}
        self._turn = 0

    async def run(self) -> None:
        """Work until cancelled."""
        await self._nodes.synced.wait()
        await self._pods.synced.wait()
        for resource, informer in self._others:
            await informer.synced.wait()
            informer.on_change(partial(self._other_changed, resource))
        self._nodes.on_change(self._node_changed)
        self._pods.on_change(self._pod_changed)
        try:
            async with Tasks() as tasks:
                tasks.start(self._loop(tasks), "scheduling")
                await tasks.wait()
        finally:
            await self._http.close()

    def busy(self) -> bool:
        """Whether pods wait for calls that are under way: events about them can wait (`EventRecorder.give_way`)."""
        return self._binder.busy

    # what changed

    def _node_changed(self, old: Node | None, new: Node | None) -> None:
        if new is None:
            assert old is not None
            self.snapshot.remove_node(old.metadata.name)
            self.queue.changed(Change("node gone", before=old))
            return
        self.snapshot.put_node(new)
        if old is None or old.spec != new.spec or old.metadata.labels != new.metadata.labels or old.status.allocatable != new.status.allocatable or (
                old.status.declaredFeatures != new.status.declaredFeatures):
            self.queue.changed(Change("node", row=self.snapshot.rows[new.metadata.name], before=old))

    def _pod_changed(self, old: Pod | None, new: Pod | None) -> None:
        if old is not None and new is not None and old.metadata.uid != new.metadata.uid:
            self._pod_gone(old)
        if new is None or is_terminal(new):
            self._pod_gone(new or old)
        elif new.spec.nodeName:
            self._pod_assigned(new)
        elif new.metadata.deletionTimestamp is not None and new.metadata.uid not in self._binder.binding:
            self._pod_gone(new)  # it is not bound any more, even if something keeps it
        elif self._mine(new) and new.metadata.uid not in self._binder.binding:
            self._pod_waits(new)

    def _pod_gone(self, pod: Pod | None) -> None:
        assert pod is not None
        uid = pod.metadata.uid
        self.queue.remove(uid)
        self._await(uid, None)
        self._binder.seen(uid)
        known, promised = self.snapshot.assigned.get(uid), self.snapshot.nominated.get(uid)
        self.snapshot.remove_pod(uid)
        if known is not None:
            self.queue.changed(Change("pod gone", known.row, known.shape))
        elif pod.spec.nodeName and pod.spec.nodeName not in self.snapshot.rows:  # on a node that went before it
            self.queue.changed(Change("pod gone", pod=self.snapshot.shape(pod, assigned=True)))
        elif promised is not None:
            self.queue.changed(Change("pod gone", promised.row, promised.shape, promised=True))

    def _pod_assigned(self, pod: Pod) -> None:
        uid = pod.metadata.uid
        self.queue.remove(uid)
        self._await(uid, None)
        before = None if uid in self._binder.binding else self.snapshot.assigned.get(uid)
        self._binder.seen(uid)
        shape = before.shape if before is not None else None
        self.snapshot.put_pod(pod)
        now = self.snapshot.assigned.get(uid)
        if now is None:
            return
        if shape is None:
            self.queue.changed(Change("pod added", now.row, now.shape))
        elif shape is not now.shape:  # that it is about to end helps nobody until it has
            self.queue.changed(Change("pod changed", now.row, now.shape, before=shape))

    def _pod_waits(self, pod: Pod) -> None:
        uid = pod.metadata.uid
        gated = bool(pod.spec.schedulingGates)
        missing = None if gated else self._missing_claim(pod)
        if gated or missing is not None:
            self.queue.remove(uid)
            self._await(uid, (pod, missing) if missing is not None else None)
            return
        self._await(uid, None)
        row = self.snapshot.rows.get(pod.status.nominatedNodeName, -1) if pod.status.nominatedNodeName else -1
        if row >= 0 and self.queue.get(uid) is None:  # another scheduler, or this one before it was restarted, has made room
            self.snapshot.nominate(pod, self.snapshot.shape(pod), row)
        self.queue.put(pod)

    def _other_changed(self, resource: Resource[Any], old: Any, new: Any) -> None:
        if new is None:
            self.snapshot.world.remove(resource, old)
        else:
            self.snapshot.world.put(resource, new)
        if resource is NAMESPACES:
            if old is not None and new is not None and old.metadata.labels == new.metadata.labels:
                return
            self.snapshot.index.namespaces_changed()
        if resource is RESOURCE_CLAIMS and new is not None:
            for uid in list(self._awaited.get(key_of(new), ())):
                self._pod_waits(self._awaiting[uid][0])
        if (what := CHANGES.get(resource.group_resource)) is not None:
            self.queue.changed(Change(what, key=key_of(new if new is not None else old), before=old))

    def _mine(self, pod: Pod) -> bool:
        return (pod.spec.schedulerName or DEFAULT.name) in self._profiles and pod.metadata.deletionTimestamp is None

    def _missing_claim(self, pod: Pod) -> Key | None:
        """A pod whose resource claims are not there (yet), or about to go, or another's, is not looked at; no name: not made yet, which its status will tell."""
        if not pod.spec.resourceClaims:
            return None
        world, namespace = self.snapshot.world, pod.metadata.namespace
        own = {one.resourceClaimName for one in pod.status.resourceClaimStatuses}
        for name in self.snapshot.shape(pod).resource_claims:
            found = world.get(RESOURCE_CLAIMS, name, namespace) if name is not None else None
            if found is None or found.metadata.deletionTimestamp is not None or (name in own and not _is_for(found, pod)):
                return Key(namespace, name or "")
        return None

    def _await(self, uid: str, wanted: tuple[Pod, Key] | None) -> None:
        """The pod waits for that claim, or (None) for none."""
        before = self._awaiting.pop(uid, None)
        if before is not None:
            users = self._awaited[before[1]]
            users.discard(uid)
            if not users:
                del self._awaited[before[1]]
        if wanted is not None:
            self._awaiting[uid] = wanted
            self._awaited.setdefault(wanted[1], set()).add(uid)

    def _helps(self, change: Change, waiting: Waiting) -> bool:
        """Whether a plugin that refused the pod says that the change can make up for it; with none known, anything can."""
        if not waiting.plugins or waiting.shape is None:
            return True
        if change.promised and change.pod is not None and waiting.shape.priority > change.pod.priority:
            return False  # it did not mind the promise
        plugins = self._by_name[waiting.pod.spec.schedulerName or DEFAULT.name]
        if change.what == "pod gone" and NodeResourcesFit.name in waiting.plugins and len(self.queue) <= FEW_WAITING:
            return True  # as upstream: its words may be others now, whether it fits or not
        retainted = change.what == "node" and change.row >= 0 and change.retainted(self.snapshot)
        if waiting.nominated >= 0:
            change = replace(change, kept=change.row == waiting.nominated, held=True)
        for name in waiting.plugins:
            plugin = plugins.get(name)
            if plugin is None or (retainted and not plugin.knows_taints):
                return True
            if change.what in plugin.events and plugin.helps(change, waiting.shape, self.snapshot):
                return True
        return False

    # cycles

    async def _loop(self, tasks: Tasks) -> None:
        while True:
            await self.queue.ready()
            started = self._clock.monotonic()
            while (waiting := self.queue.pop_now()) is not None:
                begun = self._begin(waiting)
                if (claim := self._left_over(begun)) is not None:
                    self._clear(begun, claim, tasks)
                elif any(one.interested(waiting.pod) for one in self._extenders):
                    await self._try_extended(begun, tasks)
                else:
                    self._try(begun, tasks)
                if self._binder.full or self._clock.monotonic() - started > SLICE_SECONDS:
                    break
            await self._binder.room()
            await asyncio.sleep(0)

    def _try(self, begun: Begun, tasks: Tasks) -> None:
        pod, profile, shape, nominated = begun
        if not len(self.snapshot):
            self._refuse(pod, shape, profile, Refused((), 0), nominated, tasks)
            return
        try:
            found = run_filters(shape, self.snapshot, profile)
        except PluginError as error:
            self._erred(pod, str(error), tasks)
            return
        self._finish(pod, shape, profile, found, nominated, tasks)

    def _left_over(self, begun: Begun) -> ResourceClaim | None:
        pod, _, shape, _ = begun
        return left_over(pod, self.snapshot.world) if shape.extended else None

    def _clear(self, begun: Begun, claim: ResourceClaim, tasks: Tasks) -> None:
        """An earlier attempt has left a claim, which has to go first; its end is a change that helps."""
        pod, profile, shape, nominated = begun
        everywhere = len(self.snapshot)
        refused = Refused(((LEFT_OVER, everywhere),), everywhere, frozenset((CLAIMS,)), np.zeros_like(self.snapshot.alive))
        self._refuse(pod, shape, profile, refused, nominated, tasks)
        self.queue.hold(pod.metadata.uid)
        tasks.start(self._binder.clear_claim(pod, claim), f"clear claim of {pod.metadata.name}", keep_going=True)

    def _begin(self, waiting: Waiting) -> Begun:
        pod = waiting.pod
        profile = self._profiles[pod.spec.schedulerName or DEFAULT.name]
        kept = self.snapshot.unnominate(pod.metadata.uid)
        waiting.read = shape = waiting.read or self.snapshot.shape(pod)
        return pod, profile, shape, kept.row if kept is not None else -1

    def _finish(self, pod: Pod, shape: Shape, profile: Profile, found: Filtered, nominated: int, tasks: Tasks,
                extra: Float | None = None) -> None:
        if not found.feasible.any():
            self._refuse(pod, shape, profile, refusal(found, self.snapshot), nominated, tasks)
            return
        fits = nominated >= 0 and bool(found.feasible[nominated])
        try:
            row = nominated if fits else best_row(shape, self.snapshot, profile, found.feasible, self._turn, extra)
        except PluginError as error:
            self._erred(pod, str(error), tasks)
            return
        self._turn = row + 1 if row + 1 < len(self.snapshot.alive) else 0
        self._place(pod, shape, profile, Placed(row), tasks)

    def _place(self, pod: Pod, shape: Shape, profile: Profile, placed: Placed, tasks: Tasks) -> None:
        reserved = None
        if shape.claims or shape.resource_claims or shape.extended:
            try:
                reserved = reserve(pod, shape, self.snapshot, placed.row, self._clock.now()) or None
                if reserved is not None:
                    reserved.waits = profile.waits
            except ReserveError as error:  # it was taken while extenders were asked
                self._erred(pod, f"running Reserve plugin: {error}", tasks)
                return
        self.snapshot.assume(pod, shape, placed.row)
        decision = Decision(pod, shape, placed.row, self.snapshot.node(placed.row).metadata.name, reserved)
        self._binder.start(decision, tasks)

    def _refuse(self, pod: Pod, shape: Shape, profile: Profile, refused: Refused, nominated: int, tasks: Tasks,
                outcome: Candidate | NoCandidate | None = None) -> None:
        """`outcome`: of a preemption that extenders had a say in."""
        if outcome is None and profile.preempts and refused.total and not refused.unread:
            try:
                outcome = preempt(pod, shape, refused, self.snapshot, profile, nominated)
            except PluginError as error:
                outcome = NoCandidate(str(error), keeps=True)
        uid, message, row = pod.metadata.uid, refused.message, -1
        useless = useless_claim(pod, shape, self.snapshot) if any(text == ELSEWHERE for text, _ in refused.reasons) else None
        if isinstance(outcome, Candidate):
            row = outcome.row
        else:
            if refused.total:
                message += aftermath(refused, profile, wants_devices(shape, self.snapshot), outcome, deallocated=useless is not None)
            if outcome is None or outcome.keeps:
                row = nominated
        if row >= 0 and self.snapshot.alive[row]:
            self.snapshot.nominate(pod, shape, row)
            name = self.snapshot.node(row).metadata.name
        else:
            row, name = -1, ""
        self.queue.refused(uid, shape, refused.plugins, row)
        if row != nominated >= 0:
            self.queue.changed(Change("pod gone", nominated, shape, promised=True))
        if isinstance(outcome, Candidate):
            self.queue.hold(uid)
            self._drop_nominations(pod, shape, row, tasks)
            tasks.start(self._binder.make_room(pod, outcome, name), f"preempt for {pod.metadata.name}", keep_going=True)
        if useless is not None:
            tasks.start(self._binder.deallocate(pod, useless), f"deallocate claim of {pod.metadata.name}", keep_going=True)
        tasks.start(self._binder.tell_refused(pod, message, name), f"refused {pod.metadata.name}", keep_going=True)

    def _erred(self, pod: Pod, message: str, tasks: Tasks) -> None:
        """Something else than the cluster stood in the way: try again after the back-off."""
        self.queue.failed(pod.metadata.uid)
        tasks.start(self._binder.tell_refused(pod, message, "", reason="SchedulerError"), f"refused {pod.metadata.name}", keep_going=True)

    def _drop_nominations(self, pod: Pod, shape: Shape, row: int, tasks: Tasks) -> None:
        """Less important pods that were to run on the row may not fit any more: let them look elsewhere."""
        for uid in self.snapshot.nominated_on(row):
            one = self.snapshot.nominated[uid]
            if one.shape.priority < shape.priority:
                self.snapshot.unnominate(uid)
                self.queue.release(uid, now=True)
                self.queue.changed(Change("pod gone", row, one.shape, promised=True))
                tasks.start(self._binder.clear_nomination(one.pod), f"clear nomination of {one.pod.metadata.name}", keep_going=True)

    # extenders

    async def _try_extended(self, begun: Begun, tasks: Tasks) -> None:
        pod, profile, shape, nominated = begun
        try:
            found = run_filters(shape, self.snapshot, profile) if len(self.snapshot) else None
            if found is None:
                self._refuse(pod, shape, profile, Refused((), 0), nominated, tasks)
                return
            for extender in self._extenders:
                if extender.interested(pod) and extender.filter_verb and found.feasible.any():
                    found = await self._extended(extender, pod, found)
            if not found.feasible.any():
                refused = refusal(found, self.snapshot)
                outcome = await self._preempted(pod, shape, profile, refused, nominated)
                if self.queue.get(pod.metadata.uid) is not None:
                    self._refuse(pod, shape, profile, refused, nominated, tasks, outcome)
                return
            extra = await self._ranked(pod, found)
        except (ExtenderError, PluginError) as error:
            log.warning("a pod could not be judged", extra={"pod": str(key_of(pod)), "error": str(error)})
            self._erred(pod, str(error), tasks)
            return
        if self.queue.get(pod.metadata.uid) is None:
            return  # deleted meanwhile
        feasible = found.feasible & self.snapshot.alive[:len(found.feasible)] if len(found.feasible) == len(self.snapshot.alive) else None
        if feasible is None or not np.array_equal(feasible, found.feasible):
            self.queue.failed(pod.metadata.uid)  # nodes came or went while the extender was asked
            return
        self._finish(pod, shape, profile, found, nominated, tasks, extra)

    async def _preempted(self, pod: Pod, shape: Shape, profile: Profile, refused: Refused, nominated: int) -> Candidate | NoCandidate | None:
        """What preemption comes to when extenders have had their say; None: there is none, or nobody to ask."""
        asked = [one for one in self._extenders if one.preempt_verb and one.interested(pod)]
        if not (asked and profile.preempts and refused.total and not refused.unread):
            return None
        found = candidates(pod, shape, refused, self.snapshot, profile, nominated)
        if isinstance(found, NoCandidate):
            return found
        by_name = {self.snapshot.node(one.row).metadata.name: one for one in found}
        for extender in asked:
            try:
                said = await extender.preempt(pod, {name: ([one.pod for one in candidate.victims], candidate.violations)
                                                    for name, candidate in by_name.items()}, self._post)
                by_name = {name: self._agreed(name, *victims) for name, victims in said.items()}
            except ExtenderError as error:
                if not extender.ignorable:
                    raise
                log.info("an extender was not asked about preemption", extra={"error": str(error)})
            if not by_name:
                break
        return min(by_name.values(), key=RANK) if by_name else NoCandidate(NONE_LEFT)

    def _agreed(self, name: str, uids: Sequence[str], violations: int) -> Candidate:
        """The candidate as an extender wants it.

        Raises:
            ExtenderError: There is no such node or pod, or no victim.
        """
        row = self.snapshot.rows.get(name)
        if row is None:
            raise ExtenderError(f'node "{name}" not found')
        if not uids:
            raise ExtenderError(f'expected at least one victim pod on node "{name}"')
        there = self.snapshot.pods_on[row]
        if missing := [uid for uid in uids if uid not in there]:
            raise ExtenderError(f'extender returned a pod with UID "{missing[0]}" that is not on node "{name}"')
        return Candidate(row, tuple(sorted((there[uid] for uid in uids), key=lambda one: (-one.shape.priority, start_of(one.pod)))), violations)

    async def _extended(self, extender: Extender, pod: Pod, found: Filtered) -> Filtered:
        rows = np.flatnonzero(found.feasible).tolist()
        names = {self.snapshot.node(row).metadata.name: row for row in rows}
        try:
            fits, failed, hopeless = await extender.filter(pod, [self.snapshot.node(row) for row in rows], self._post)
        except ExtenderError:
            if extender.ignorable:
                return found
            raise
        feasible = np.zeros_like(found.feasible)
        feasible[[names[name] for name in fits if name in names]] = True
        reasons = list(found.reasons)
        for said, resolvable in ((failed, True), (hopeless, False)):
            for name, text in said.items():
                if name in names:
                    row = np.zeros_like(feasible)
                    row[names[name]] = True
                    reasons.append((Reason(text, row, resolvable), row))
        return Filtered(feasible, reasons, found.plugins | ({extender.url} if (feasible != found.feasible).any() else set()))

    async def _ranked(self, pod: Pod, found: Filtered) -> Float | None:
        extra: Float | None = None
        rows = np.flatnonzero(found.feasible).tolist()
        for extender in self._extenders:
            if not (extender.interested(pod) and extender.prioritize_verb and len(rows) > 1):
                continue
            nodes = [self.snapshot.node(row) for row in rows]
            try:
                scores = await extender.prioritize(pod, nodes, self._post)
            except ExtenderError as error:  # ranking is a favour: upstream goes on without
                log.info("an extender did not rank", extra={"error": str(error)})
                continue
            extra = np.zeros(len(found.feasible), np.float64) if extra is None else extra
            for row, node in zip(rows, nodes, strict=True):
                extra[row] += scores.get(node.metadata.name, 0.0)
        return extra


def _is_for(claim: ResourceClaim, pod: Pod) -> bool:
    """Whether a claim was made for this very pod."""
    return any(one.controller and one.uid == pod.metadata.uid for one in claim.metadata.ownerReferences)
