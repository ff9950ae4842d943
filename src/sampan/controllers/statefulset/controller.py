"""The control loop of StatefulSets. Owns watching, claiming and revisions; decisions are pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sampan.api.apps.v1 import ControllerRevision, StatefulSet
from sampan.api.core.v1 import Pod
from sampan.api.errors import AlreadyExists, ApiError
from sampan.api.resources import CONTROLLER_REVISIONS, PERSISTENT_VOLUME_CLAIMS, PODS, STATEFUL_SETS
from sampan.api.selectors import of_label_selector
from sampan.control import history
from sampan.control.claiming import Claiming
from sampan.control.controller import DONE, Context, Controller, Postponed, Result
from sampan.control.indexes import by_controller, by_selector
from sampan.control.key import Key, controller_of
from sampan.control.ownership import Claim, claim, owner_keys
from sampan.control.pods import is_terminating
from sampan.control.writer import Outcome
from sampan.controllers.statefulset.claims import claim_names, claims_in
from sampan.controllers.statefulset.decide import Step, decide, status
from sampan.controllers.statefulset.pods import ordinal, revision_of, to_look_at
from sampan.kinds.plan import Create, Delete, EventRecord, Patch, Plan, Update, Write

HASH = "controller.kubernetes.io/hash"


def _matches(sts: StatefulSet, labels: Mapping[str, str]) -> bool:
    return of_label_selector(sts.spec.selector).matches(labels)


class StatefulSetController(Controller):
    """Keeps numbered pods, in order."""

    name = "statefulset-controller"

    def __init__(self, context: Context, *, workers: int = 5) -> None:
        super().__init__(context, workers=workers)
        self._sets, pods = self.informers.of(STATEFUL_SETS), self.informers.of(PODS)
        self._claims, revisions = self.informers.of(PERSISTENT_VOLUME_CLAIMS), self.informers.of(CONTROLLER_REVISIONS)
        self._histories = revisions.index(by_controller)
        self._claiming = Claiming(self.client, self.writer, STATEFUL_SETS, pods)
        self._adopting = Claiming(self.client, self.writer, STATEFUL_SETS, revisions)
        self.loop.watch(self._sets)
        self.loop.watch(pods, owner_keys(STATEFUL_SETS, self._sets, self._sets.index(by_selector), _matches))
        self.loop.watch(revisions, owner_keys(STATEFUL_SETS, self._sets, None, _matches))
        self.loop.wait_for(self._claims)

    async def reconcile(self, key: Key) -> Result:
        """See `Controller.reconcile`."""
        sts = self._sets.get(key)
        if sts is None:
            self.writer.forget(key)
            return DONE
        if not self.writer.fresh(key):
            return DONE
        revisions = await self._revisions(key, sts)
        pods = await self._claim(key, sts)
        update, collisions = await self._update_revision(key, sts, revisions)
        current = next((one for one in revisions if one.metadata.name == sts.status.currentRevision), update)
        claims = {claim.metadata.name: claim for pod_number in self._numbers(sts, pods)
                  for name in claim_names(sts, pod_number).values()
                  if (claim := self._claims.get(Key(key.namespace, name))) is not None}
        step = Step(sts, current, update, pods, claims, self.clock.now())
        outcome = await self._apply(key, sts, decide(step))
        after = status(step, collisions)
        await self.writer.do(key, after)
        await self._forget_history(key, sts, pods, {current.metadata.name, update.metadata.name})
        outcome.raise_first()
        if step.postponed:
            raise Postponed(step.postponed)
        return Result(after.requeue_after_seconds)

    async def _apply(self, key: Key, sts: StatefulSet, plan: Plan) -> Outcome:
        """Claims first: a pod whose claims can't be made is not made either, and nothing is deleted meanwhile."""
        def tell(write: Write, answer: Any) -> EventRecord | None:
            return _tell(sts, write, answer)

        claims, rest = [], list[Write]()
        for write in plan.writes:
            if isinstance(write, Create) and write.resource is PERSISTENT_VOLUME_CLAIMS:
                claims.append(write)
            else:
                rest.append(write)
        first = await self.writer.apply(key, Plan(tuple(claims)), tell=tell)
        if first.failures:
            made = {write.object.metadata.name for write in first.done if isinstance(write, Create)}
            missing = {write.object.metadata.name for write in claims} - made
            for write, error in first.failures:
                self.writer.tell(_without_claim(sts, write, error))
            rest = [write for write in rest if isinstance(write, Create) and missing.isdisjoint(claims_in(write.object))]
        second = await self.writer.apply(key, Plan(tuple(rest), None, plan.events), tell=tell)
        return Outcome(first.done + second.done, first.answers + second.answers, first.failures + second.failures)

    @staticmethod
    def _numbers(sts: StatefulSet, pods: list[Pod]) -> set[int]:
        if not sts.spec.volumeClaimTemplates:
            return set()
        taken = {number for pod in pods if (number := ordinal(sts, pod)) is not None}
        return {*to_look_at(sts, taken), *taken}

    async def _revisions(self, key: Key, sts: StatefulSet) -> list[ControllerRevision]:
        """Those of the set, and those that nobody manages and its selector matches: they are adopted."""
        near: list[ControllerRevision] = [one for one in self._adopting.near(sts) if _matches(sts, one.metadata.labels)]
        if sts.metadata.deletionTimestamp is not None:
            return [one for one in near if controller_of(one) is not None]
        return await self._adopting.settle(key, sts, Claim(near, [one for one in near if controller_of(one) is None]))

    async def _update_revision(self, key: Key, sts: StatefulSet, revisions: list[ControllerRevision]) -> tuple[ControllerRevision, int]:
        """The revision of the template as it is now, made or renumbered if need be, and the number of collisions."""
        collisions = sts.status.collisionCount or 0
        ordered = history.ordered(revisions)
        same = [one for one in ordered if history.of_template(one, sts.spec.template)]
        if same:
            if same[-1] is ordered[-1]:
                return same[-1], collisions
            write = history.renumbered(same[-1], history.next_number(revisions))
            return (await self.writer.do(key, Plan((write,)))).answers[0], collisions
        while True:
            new = history.make(STATEFUL_SETS, sts, sts.spec.template.metadata.labels, history.next_number(revisions),
                               sts.metadata.annotations, label=HASH, collisions=collisions)
            outcome = await self.writer.apply(key, Plan((Create(CONTROLLER_REVISIONS, new),)))
            if not outcome.failures:
                return outcome.answers[0], collisions
            error = outcome.failures[0][1]
            if not isinstance(error, AlreadyExists):
                raise error
            live = await self.client.get(CONTROLLER_REVISIONS, new.metadata.name, key.namespace)
            if history.of_template(live, sts.spec.template):
                self.writer.wrote(key, CONTROLLER_REVISIONS, live)
                return live, collisions
            collisions += 1

    async def _forget_history(self, key: Key, sts: StatefulSet, pods: list[Pod], live: set[str]) -> None:
        limit = sts.spec.revisionHistoryLimit if sts.spec.revisionHistoryLimit is not None else 10
        names = live | {revision_of(pod) for pod in pods}
        await self.writer.do(key, Plan(tuple(history.surplus(self._histories.get(sts.metadata.uid), names, limit))))

    async def _claim(self, key: Key, sts: StatefulSet) -> list[Pod]:
        pods = [pod for pod in self._claiming.near(sts) if ordinal(sts, pod) is not None]
        claimed = claim(sts, lambda labels: _matches(sts, labels), pods, adoptable=lambda pod: not is_terminating(pod))
        return await self._claiming.settle(key, sts, claimed)


def _tell(sts: StatefulSet, write: Write, answer: Any) -> EventRecord | None:
    """Upstream's words about a pod or claim."""
    if isinstance(write, Patch) or (isinstance(write, Update) and write.resource is not PODS) \
            or (isinstance(write, Create) and isinstance(answer, AlreadyExists)):
        return None
    verb = type(write).__name__
    name = write.name if isinstance(write, Delete) else write.object.metadata.name
    failed, is_claim = isinstance(answer, ApiError), write.resource is PERSISTENT_VOLUME_CLAIMS
    what = f"Claim {name} {'for ' if failed else ''}Pod {_pod_of(sts, name)}" if is_claim else f"Pod {name}"
    text = f"{verb} {what} in StatefulSet {sts.metadata.name}"
    if failed:
        return EventRecord(sts, "Warning", f"Failed{verb}", f"{text} failed error: {answer.message}")
    return EventRecord(sts, "Normal", f"Successful{verb}", f"{text} {'success' if is_claim else 'successful'}")


def _pod_of(sts: StatefulSet, claim: str) -> str:
    return f"{sts.metadata.name}-{claim.rpartition('-')[2]}"


def _without_claim(sts: StatefulSet, write: Write, error: ApiError) -> EventRecord:
    """A pod that can't be made because a claim of it can't."""
    assert isinstance(write, Create)
    claim = write.object.metadata.name
    return EventRecord(sts, "Warning", "FailedCreate", f"Create Pod {_pod_of(sts, claim)} in StatefulSet {sts.metadata.name} failed error: "
                       f"failed to create PVC {claim}: {error.message}")
