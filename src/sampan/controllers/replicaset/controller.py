"""The control loop of ReplicaSets and, with another family, of ReplicationControllers.

Owns watching, claiming pods and the order "claim, create or delete, status". Decisions are in `decide`.
"""

from __future__ import annotations

from typing import Any

from sampan.api.core.v1 import Pod
from sampan.api.errors import namespace_ends
from sampan.api.resources import PODS
from sampan.control.claiming import Claiming
from sampan.control.controller import DONE, Context, Controller, Result
from sampan.control.indexes import by_controller, by_map_selector, by_selector
from sampan.control.key import Key, controller_of
from sampan.control.ownership import claim, owner_keys
from sampan.control.podevents import pod_event
from sampan.control.pods import is_active
from sampan.control.writer import Outcome
from sampan.controllers.replicaset.decide import (
    REPLICA_SET,
    REPLICATION_CONTROLLER,
    Family,
    decide,
    status,
)
from sampan.kinds.plan import Create


class ReplicaSetController(Controller):
    """Keeps as many pods as each ReplicaSet wants."""

    name = "replicaset-controller"
    family: Family = REPLICA_SET

    def __init__(self, context: Context, *, workers: int = 5) -> None:
        super().__init__(context, workers=workers)
        resource = self.family.resource
        self._owners, self._pods = self.informers.of(resource), self.informers.of(PODS)
        selectors = self._owners.index(by_selector if self.family is REPLICA_SET else by_map_selector)
        self._siblings = self._owners.index(by_controller)
        self._by_controller = self._pods.index(by_controller)
        self._claiming = Claiming(self.client, self.writer, resource, self._pods)
        self.loop.watch(self._owners)
        self.loop.watch(self._pods, owner_keys(resource, self._owners, selectors, self.family.matches), gathered=True)

    async def reconcile(self, key: Key) -> Result:
        """See `Controller.reconcile`."""
        owner = self._owners.get(key)
        if owner is None:
            self.writer.forget(key)
            return DONE
        if not self.writer.fresh(key):
            return DONE
        pods = await self._claim(key, owner)
        plan = decide(self.family, owner, pods, self._related(owner), self.clock.now())
        outcome = await self.writer.apply(key, plan, tell=lambda write, answer: pod_event(owner, write, answer))
        outcome.failures = [(write, error) for write, error in outcome.failures if not namespace_ends(error)]
        after = status(self.family, owner, pods, _failure(outcome), self.clock.now())
        await self.writer.do(key, after)
        outcome.raise_first()
        return Result(after.requeue_after_seconds)

    async def _claim(self, key: Key, owner: Any) -> list[Pod]:
        """Its pods. Those that have ended or are going stay whose they are, whatever their labels say; they count where they match."""
        matches, uid = self.family.matcher(owner), owner.metadata.uid
        pods = [pod for pod in self._claiming.near(owner)
                if is_active(pod) or ((ref := controller_of(pod)) is not None and ref.uid == uid and matches(pod.metadata.labels))]
        return await self._claiming.settle(key, owner, claim(owner, matches, pods))

    def _related(self, owner: Any) -> list[Pod]:
        ref = controller_of(owner)
        if ref is None:
            return []
        siblings = self._siblings.get(ref.uid)
        return [pod for one in siblings for pod in self._by_controller.get(one.metadata.uid) if is_active(pod)]


class ReplicationController(ReplicaSetController):
    """The same for ReplicationControllers."""

    name = "replicationcontroller-controller"
    component = "replication-controller"
    family = REPLICATION_CONTROLLER


def _failure(outcome: Outcome) -> tuple[str, str] | None:
    if not outcome.failures:
        return None
    write, error = outcome.failures[0]
    return ("FailedCreate", error.message) if isinstance(write, Create) else ("FailedDelete", f"unable to delete pods: {error.message}")
