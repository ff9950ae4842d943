"""The control loop of DaemonSets. Owns watching, claiming, revisions and patience with failed pods; decisions are pure."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from sampan.aio.backoff import Backoff
from sampan.api.apps.v1 import ControllerRevision, DaemonSet
from sampan.api.core.v1 import Node, Pod
from sampan.api.errors import AlreadyExists, namespace_ends
from sampan.api.resources import CONTROLLER_REVISIONS, DAEMON_SETS, NODES, PODS
from sampan.api.selectors import of_label_selector
from sampan.control import history
from sampan.control.claiming import Claiming
from sampan.control.controller import DONE, Context, Controller, Result
from sampan.control.indexes import by_controller, by_selector
from sampan.control.key import Key, controller_of, key_of
from sampan.control.ownership import owner_keys
from sampan.control.podevents import pod_event
from sampan.controllers.daemonset.decide import look, manage, may_run, node_of, pod_spec, roll, status
from sampan.kinds.plan import Create, Plan

COUNT_SECONDS = 60.0
FAILED_POD_BACKOFF = Backoff(first_seconds=1.0, most_seconds=15 * 60.0)


def _matches(ds: DaemonSet, labels: Mapping[str, str]) -> bool:
    selector = of_label_selector(ds.spec.selector)
    return not selector.empty and selector.matches(labels)


def by_daemon_and_node(pod: Any) -> Iterable[Hashable]:
    """Pods of DaemonSets by (uid of the DaemonSet, node that they are on or for)."""
    ref = controller_of(pod)
    return ((ref.uid, node_of(pod)),) if ref is not None and ref.kind == "DaemonSet" else ()


class DaemonSetController(Controller):
    """Keeps a pod on every node that should have one."""

    name = "daemonset-controller"

    def __init__(self, context: Context, *, workers: int = 2) -> None:
        super().__init__(context, workers=workers)
        self._sets, pods = self.informers.of(DAEMON_SETS), self.informers.of(PODS)
        self._nodes, self._revisions = self.informers.of(NODES), self.informers.of(CONTROLLER_REVISIONS)
        self._on_node = pods.index(by_daemon_and_node)
        self._histories = self._revisions.index(by_controller)
        # by the set's uid, then by its generation and the node: how often, and since when
        self._failed: dict[str, dict[tuple[int, str], tuple[int, float]]] = {}
        keys = owner_keys(DAEMON_SETS, self._sets, self._sets.index(by_selector), _matches)
        self._claiming = Claiming(self.client, self.writer, DAEMON_SETS, pods)
        self._past = Claiming(self.client, self.writer, DAEMON_SETS, self._revisions)
        self.loop.watch(self._sets)
        self._sets.on_change(self._set_changed)
        self.loop.watch(pods, keys)
        self.loop.watch(self._revisions, keys)
        self.loop.wait_for(self._nodes)
        self._nodes.on_change(self._node_changed)

    def _set_changed(self, old: DaemonSet | None, new: DaemonSet | None) -> None:
        if old is not None and (new is None or new.metadata.uid != old.metadata.uid):
            self._failed.pop(old.metadata.uid, None)

    def _node_changed(self, old: Node | None, new: Node | None) -> None:
        node = new or old
        assert node is not None
        if old is not None and new is not None and (old.metadata.labels, old.spec.taints) == (new.metadata.labels, new.spec.taints):
            return  # a heartbeat
        for ds in self._sets.items():
            spec = pod_spec(ds)
            should_run, may_stay = may_run(spec, new) if new is not None else (False, True)
            there = self._on_node.count((ds.metadata.uid, node.metadata.name)) > 0
            if (should_run and not there) or (not may_stay and there) or (there and ds.status.numberMisscheduled > 0):
                self.loop.enqueue(ds)
            elif old is not None and may_run(spec, old)[0] != should_run:
                # nothing is to be done there, but the status counts the node: upstream leaves that to its resync, hours later
                self.loop.queue.add_after(key_of(ds), COUNT_SECONDS)

    async def reconcile(self, key: Key) -> Result:
        """See `Controller.reconcile`."""
        ds = self._sets.get(key)
        if ds is None:
            self.writer.forget(key)
            return DONE
        await self.writer.catch_up(key)
        if ds.metadata.deletionTimestamp is not None or not self.writer.fresh(key):
            return DONE
        if of_label_selector(ds.spec.selector).empty:
            self.recorder.record(ds, "Warning", "SelectingAll",
                                 "This daemon set is selecting all pods. A non-empty selector is required.")
            return DONE
        matches = of_label_selector(ds.spec.selector).matches
        revisions = await self._past.hold(key, ds, matches)
        pods = await self._claiming.hold(key, ds, matches)
        current = await self._current(key, ds, revisions, pods)
        if current is None:
            return Result(0.0)
        state = look(ds, pods, self._nodes.items(), current.metadata.labels[history.HASH_LABEL], self.clock.now())
        plan = manage(state, lambda node: self._patience(ds, node))
        for event in plan.events:
            self.writer.tell(event)  # also if what it is about fails
        if not plan.writes and ds.spec.updateStrategy.type == "RollingUpdate":
            plan = Plan(roll(state).writes, plan.requeue_after_seconds)
        outcome = await self.writer.apply(key, Plan(plan.writes), tell=lambda write, answer: pod_event(ds, write, answer))
        outcome.failures = [(write, error) for write, error in outcome.failures if not namespace_ends(error)]
        await self._forget_history(key, ds, current, pods)
        after = status(state)
        await self.writer.do(key, after)
        outcome.raise_first()
        waits = [wait for wait in (plan.requeue_after_seconds, after.requeue_after_seconds) if wait is not None]
        return Result(min(waits, default=None))

    # revisions

    async def _current(self, key: Key, ds: DaemonSet, revisions: Sequence[ControllerRevision], pods: Sequence[Pod]) -> ControllerRevision | None:
        """The revision of the template as it is now; None: there were several, or its name was taken: look again."""
        same = [one for one in revisions if history.of_template(one, ds.spec.template)]
        others = [one for one in revisions if one not in same]
        number = history.next_number(others)
        if not same:
            assert ds.spec.template is not None
            new = history.make(DAEMON_SETS, ds, ds.spec.template.metadata.labels, number, ds.metadata.annotations,
                               collisions=ds.status.collisionCount)
            outcome = await self.writer.apply(key, Plan((Create(CONTROLLER_REVISIONS, new),)))
            for _, error in outcome.failures:
                if not isinstance(error, AlreadyExists):
                    raise error
                return await self._collided(key, ds, new)
            return outcome.answers[0]  # type: ignore[no-any-return]
        *doubles, current = history.ordered(same)
        if doubles:
            await self.writer.do(key, history.merged(current, doubles, pods))
            return None
        if current.revision < number:
            outcome = await self.writer.do(key, Plan((history.renumbered(current, number),)))
            return outcome.answers[0]  # type: ignore[no-any-return]
        return current

    async def _collided(self, key: Key, ds: DaemonSet, wanted: ControllerRevision) -> ControllerRevision | None:
        """What has the name: the same template's, whoever made it, or another's, so that the next name shall differ."""
        live = await self.client.get(CONTROLLER_REVISIONS, wanted.metadata.name, key.namespace)
        self.writer.wrote(key, CONTROLLER_REVISIONS, live)
        if history.of_template(live, ds.spec.template):
            return live
        changed = replace(ds, status=replace(ds.status, collisionCount=(ds.status.collisionCount or 0) + 1))
        self.writer.wrote(key, DAEMON_SETS, await self.client.update(DAEMON_SETS, changed, subresource="status"))
        return None

    async def _forget_history(self, key: Key, ds: DaemonSet, current: ControllerRevision, pods: list[Pod]) -> None:
        limit = ds.spec.revisionHistoryLimit if ds.spec.revisionHistoryLimit is not None else 10
        hashes = {pod.metadata.labels.get(history.HASH_LABEL) for pod in pods}
        old = [one for one in self._histories.get(ds.metadata.uid) if one.metadata.name != current.metadata.name]
        live = {one.metadata.name for one in old if one.metadata.labels.get(history.HASH_LABEL) in hashes}
        await self.writer.do(key, Plan(tuple(history.surplus(old, live, max(0, limit - len(live))))))

    # pods

    def _patience(self, ds: DaemonSet, node: str) -> float:
        """A pod that fails again and again on a node is replaced ever more slowly; another template begins anew."""
        now, known, place = self.clock.monotonic(), self._failed.setdefault(ds.metadata.uid, {}), (ds.status.observedGeneration, node)
        failures, since = known.get(place, (0, now))
        if now - since > 2 * FAILED_POD_BACKOFF.most_seconds:
            failures = 0
        if (left := since + FAILED_POD_BACKOFF.delay_seconds(failures) - now) > 0:
            return left
        known[place] = (failures + 1, now)
        return 0.0
