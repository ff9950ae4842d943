"""The control loop of Deployments. Owns watching, claiming ReplicaSets and hash collisions; decisions are in `decide`."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from sampan.api.apps.v1 import Deployment, ReplicaSet
from sampan.api.core.v1 import Pod
from sampan.api.errors import AlreadyExists, namespace_ends
from sampan.api.resources import DEPLOYMENTS, PODS, REPLICA_SETS
from sampan.api.selectors import of_label_selector
from sampan.control.claiming import Claiming
from sampan.control.controller import DONE, Context, Controller, Result
from sampan.control.indexes import by_controller, by_selector
from sampan.control.key import Key, controller_of
from sampan.control.ownership import owner_keys
from sampan.control.pods import is_terminal
from sampan.controllers.deployment.decide import creation_failed, decide
from sampan.controllers.deployment.replicasets import same_template
from sampan.kinds.plan import Create


def _matches(deployment: Deployment, labels: Mapping[str, str]) -> bool:
    selector = of_label_selector(deployment.spec.selector)
    return not selector.empty and selector.matches(labels)


class DeploymentController(Controller):
    """Rolls out, scales and remembers."""

    name = "deployment-controller"

    def __init__(self, context: Context, *, workers: int = 5) -> None:
        super().__init__(context, workers=workers)
        self._deployments, self._sets = self.informers.of(DEPLOYMENTS), self.informers.of(REPLICA_SETS)
        pods = self.informers.of(PODS)
        self._owned, self._pods_of = self._sets.index(by_controller), pods.index(by_controller)
        self._keys = owner_keys(DEPLOYMENTS, self._deployments, self._deployments.index(by_selector), _matches)
        self._claiming = Claiming(self.client, self.writer, DEPLOYMENTS, self._sets)
        self.loop.watch(self._deployments)
        self.loop.watch(self._sets, self._keys, gathered=True)
        self.loop.wait_for(pods)
        pods.on_change(self._pod_changed)

    def _pod_changed(self, old: Pod | None, new: Pod | None) -> None:
        """Recreate waits for the end of old pods; nothing else depends on single pods."""
        if old is None or (new is not None and not is_terminal(new)):
            return
        ref = controller_of(old)
        rs = self._sets.get(Key(old.metadata.namespace, ref.name)) if ref is not None and ref.kind == "ReplicaSet" else None
        for key in self._keys(rs) if rs is not None and controller_of(rs) else ():
            deployment = self._deployments.get(key)
            if deployment is not None and deployment.spec.strategy.type == "Recreate":
                self.loop.queue.add(key)

    async def reconcile(self, key: Key) -> Result:
        """See `Controller.reconcile`."""
        deployment = self._deployments.get(key)
        if deployment is None:
            self.writer.forget(key)
            return DONE
        if not self.writer.fresh(key):
            return DONE
        sets = await self._claiming.hold(key, deployment, lambda labels: _matches(deployment, labels))
        recreate = deployment.spec.strategy.type == "Recreate"
        pods = {rs.metadata.uid: self._pods_of.get(rs.metadata.uid) for rs in sets} if recreate else {}
        plan = decide(deployment, sets, pods, self.clock.now())
        outcome = await self.writer.apply(key, plan)
        for write, error in outcome.failures:
            if isinstance(write, Create):
                if isinstance(error, AlreadyExists):
                    return await self._collided(key, deployment, write.object)
                if not namespace_ends(error):
                    await self.writer.do(key, creation_failed(deployment, write.object.metadata.name, error.message, self.clock.now()))
        outcome.raise_first()
        return Result(plan.requeue_after_seconds)

    async def _collided(self, key: Key, deployment: Deployment, wanted: ReplicaSet) -> Result:
        """A ReplicaSet of that name exists: ours from before (the cache will tell), or another's: take another hash."""
        live = await self.client.get(REPLICA_SETS, wanted.metadata.name, key.namespace)
        self.writer.wrote(key, REPLICA_SETS, live)
        ref = controller_of(live)
        if ref is not None and ref.uid == deployment.metadata.uid \
                and same_template(live.spec.template, deployment.spec.template):
            return Result(0.0)
        status = replace(deployment.status, collisionCount=(deployment.status.collisionCount or 0) + 1)
        answer = await self.client.update(DEPLOYMENTS, replace(deployment, status=status), subresource="status")
        self.writer.wrote(key, DEPLOYMENTS, answer)
        return Result(0.0)
