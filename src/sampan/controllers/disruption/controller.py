"""The control loop of disruption budgets. Owns finding pods and the scales of their controllers; decisions are pure."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from sampan.api import codec
from sampan.api.core.v1 import Pod
from sampan.api.meta.v1 import OwnerReference
from sampan.api.policy.v1 import PodDisruptionBudget
from sampan.api.resourceinfo import Resource
from sampan.api.resources import (
    DEPLOYMENTS,
    POD_DISRUPTION_BUDGETS,
    PODS,
    REPLICA_SETS,
    REPLICATION_CONTROLLERS,
    STATEFUL_SETS,
)
from sampan.api.selectors import of_label_selector
from sampan.client import requests
from sampan.control.catalog import Catalog
from sampan.control.controller import DONE, Context, Controller, ControlLoop, Result
from sampan.control.indexes import by_label, by_namespace, by_selector, candidates, selected
from sampan.control.key import Key, controller_of, key_of
from sampan.controllers.disruption.decide import decide, fail_safe, stale_in, take_back, torn
from sampan.kinds.policy.evict import needs_scale


class _Unscaled(Exception):
    """The scale of a pod's controller can't be told; the text is upstream's."""


class DisruptionController(Controller):
    """Tells how many pods may go."""

    name = "disruption-controller"
    component = "controllermanager"

    def __init__(self, context: Context, *, workers: int = 1) -> None:
        super().__init__(context, workers=workers)
        self._budgets, self._pods = self.informers.of(POD_DISRUPTION_BUDGETS), self.informers.of(PODS)
        self._by_selector = self._budgets.index(by_selector)
        self._by_label, self._by_namespace = self._pods.index(by_label), self._pods.index(by_namespace)
        self._scaled = {resource.kind: (resource, self.informers.of(resource))
                        for resource in (DEPLOYMENTS, REPLICA_SETS, REPLICATION_CONTROLLERS, STATEFUL_SETS)}
        self._catalog = Catalog(self.informers)
        self._stale = ControlLoop("stale-pod-disruption", self._take_back, context.clock, workers=1, wait_for=[self._pods])
        self.beside.append(self._stale)
        self.loop.watch(self._budgets)
        self.loop.watch(self._pods, self._concerned)
        for _, informer in self._scaled.values():
            self.loop.wait_for(informer)
        self._pods.on_change(self._look_for_stale)

    def _concerned(self, pod: Pod) -> list[Key]:
        found = candidates(self._by_selector, pod.metadata.namespace, pod.metadata.labels)
        budgets = [pdb for pdb in found if of_label_selector(pdb.spec.selector).matches(pod.metadata.labels)]
        if len(budgets) > 1:
            self.recorder.emit(torn(pod, budgets))
        return [key_of(pdb) for pdb in budgets]

    def _look_for_stale(self, _: Pod | None, new: Pod | None) -> None:
        if new is not None and (left := stale_in(new, self.clock.now())) is not None:
            self._stale.queue.add_after(key_of(new), left)

    async def _take_back(self, key: Key) -> Result:
        pod, now = self._pods.get(key), self.clock.now()
        left = stale_in(pod, now) if pod is not None else None
        if pod is not None and left == 0:
            # not the writer's: its memory is of budgets, and a budget may have this pod's name
            await self.client.update(PODS, take_back(pod, now).object, subresource="status")
            return DONE
        return Result(left)

    async def reconcile(self, key: Key) -> Result:
        """See `Controller.reconcile`."""
        pdb = self._budgets.get(key)
        if pdb is None:
            self.writer.forget(key)
            return DONE
        if not self.writer.fresh(key):
            return DONE
        pods, now = self._selected(pdb), self.clock.now()
        try:
            scale, unmanaged = await self._scale(pods) if needs_scale(pdb) else (0, [])
            plan = decide(pdb, pods, scale, unmanaged, now)
        except (_Unscaled, ValueError) as error:
            await self.writer.do(key, fail_safe(pdb, str(error), now))
            return Result(30.0)
        await self.writer.do(key, plan)
        return Result(plan.requeue_after_seconds)

    def _selected(self, pdb: PodDisruptionBudget) -> list[Pod]:
        if pdb.spec.selector is None:
            return []
        required = pdb.spec.selector.matchLabels
        pods: list[Pod] = (selected(self._by_label, pdb.metadata.namespace, required) if required
                           else self._by_namespace.get(pdb.metadata.namespace))
        matches = of_label_selector(pdb.spec.selector).matches
        return [pod for pod in pods if matches(pod.metadata.labels)]

    async def _scale(self, pods: Sequence[Pod]) -> tuple[int, list[Pod]]:
        """The sum of the scales of the pods' controllers, each once, and the pods without one."""
        scales: dict[str, int] = {}
        unmanaged: list[Pod] = []
        for pod in pods:
            ref = controller_of(pod)
            if ref is None:
                unmanaged.append(pod)
            elif ref.uid not in scales:
                scales[ref.uid] = 0
                uid, scale = await self._scale_of(pod, ref)
                scales[uid] = scale
        return sum(scales.values()), unmanaged

    async def _scale_of(self, pod: Pod, ref: OwnerReference) -> tuple[str, int]:
        namespace = pod.metadata.namespace
        group = ref.apiVersion.rpartition("/")[0]
        if ref.kind in self._scaled and group == self._scaled[ref.kind][0].group:
            owner = self._scaled[ref.kind][1].get(Key(namespace, ref.name))
            if owner is None or owner.metadata.uid != ref.uid:
                raise _Unscaled(f'found no controllers for pod "{pod.metadata.name}"')
            above = controller_of(owner)
            if ref.kind == "ReplicaSet" and above is not None and above.kind == "Deployment":
                deployment = self._scaled["Deployment"][1].get(Key(namespace, above.name))
                if deployment is not None and deployment.metadata.uid == above.uid:
                    return above.uid, _replicas(deployment)
            return ref.uid, _replicas(owner)
        resource = self._catalog.of_kind(ref.apiVersion, ref.kind)
        if resource is None:
            raise _Unscaled(f'no matches for kind "{ref.kind}" in version "{ref.apiVersion}"')
        return ref.uid, await self._scale_at_server(resource, namespace, pod, ref)

    async def _scale_at_server(self, resource: Resource[Any], namespace: str, pod: Pod, ref: OwnerReference) -> int:
        answer = await self.client.raw("GET", resource.path(namespace, ref.name, "scale"))
        if answer.code == 200:
            scale = codec.loads(answer.body)
            if scale.get("metadata", {}).get("uid") == ref.uid:
                return int(scale.get("spec", {}).get("replicas", 0))
        elif answer.code != HTTPStatus.NOT_FOUND:
            raise _Unscaled(requests.error_of(answer.code, answer.body).message)
        elif not await self._has_scale(resource):
            raise _Unscaled(f"{resource.group_resource} does not implement the scale subresource")
        raise _Unscaled(f'found no controllers for pod "{pod.metadata.name}"')

    async def _has_scale(self, resource: Resource[Any]) -> bool:
        """Whether the server says that objects of this resource have a scale."""
        root = f"/apis/{resource.group_version}" if resource.group else f"/api/{resource.version}"
        answer = await self.client.raw("GET", root)
        found = codec.loads(answer.body).get("resources", []) if answer.code == 200 else []
        return any((one.get("name"), one.get("kind")) == (f"{resource.plural}/scale", "Scale") for one in found)


def _replicas(owner: Any) -> int:
    return owner.spec.replicas if owner.spec.replicas is not None else 1


