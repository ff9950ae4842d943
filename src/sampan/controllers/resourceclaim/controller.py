"""The control loop of resource claims and of the pods that use them. A key's name says of which: `pod:NAME`, `claim:NAME`."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterable
from typing import Any

from sampan.api.core.v1 import Pod
from sampan.api.errors import ApiError, NotFound
from sampan.api.resource.v1 import ResourceClaim, ResourceClaimConsumerReference
from sampan.api.resources import PODS, RESOURCE_CLAIM_TEMPLATES, RESOURCE_CLAIMS
from sampan.client.base import APPLY_PATCH
from sampan.control.controller import DONE, Context, Controller, Postponed, Result
from sampan.control.devices import by_resource_claim, claim_names, is_done, owning_pod
from sampan.control.key import Key, key_of
from sampan.controllers.resourceclaim.decide import (
    Holders,
    Lookup,
    freed,
    from_template,
    missing,
    needs_nothing,
    needs_work,
    no_template,
    problem,
    problem_text,
    reservations,
    statuses,
    surplus,
    without_finalizer,
)
from sampan.kinds.plan import Create, Plan

POD, CLAIM = "pod:", "claim:"
FIELD_MANAGER = "ResourceClaimController"
MOST_REMEMBERED = 500


def by_owning_pod(claim: Any) -> Iterable[Hashable]:
    """Index: claims by the uid of the pod that they were made for."""
    owner = owning_pod(claim)
    return (owner[1],) if owner is not None else ()


class ResourceClaimController(Controller):
    """Makes claims from templates, and frees them."""

    name = "resourceclaim-controller"
    component = "resource_claim"

    def __init__(self, context: Context, *, workers: int = 10) -> None:
        super().__init__(context, workers=workers)
        self._pods, self._claims = self.informers.of(PODS), self.informers.of(RESOURCE_CLAIMS)
        self._templates = self.informers.of(RESOURCE_CLAIM_TEMPLATES)
        self._users, self._owned = self._pods.index(by_resource_claim), self._claims.index(by_owning_pod)
        self._gone: OrderedDict[str, None] = OrderedDict()  # uids of pods that are known to have been deleted
        self.loop.wait_for(self._pods, self._claims, self._templates)
        self._pods.on_change(self._pod_changed)
        self._claims.on_change(self._claim_changed)

    # what is heard

    def _pod_changed(self, old: Pod | None, new: Pod | None) -> None:
        pod = new or old
        assert pod is not None
        if not pod.spec.resourceClaims and pod.status.extendedResourceClaimStatus is None:
            return
        if new is None:
            self._gone[pod.metadata.uid] = None
            if len(self._gone) > MOST_REMEMBERED:
                self._gone.popitem(last=False)
        if new is None or is_done(new):
            for name in claim_names(pod):
                self.loop.queue.add(Key(pod.metadata.namespace, CLAIM + name))
        if old is not None and new is not None and old.status.resourceClaimStatuses != new.status.resourceClaimStatuses:
            for claim in self._owned.each(new.metadata.uid):
                self.loop.queue.add(Key(claim.metadata.namespace, CLAIM + claim.metadata.name))
        if new is not None and needs_work(new, lambda name: self._claims.get(Key(pod.metadata.namespace, name))):
            self.loop.queue.add(Key(pod.metadata.namespace, POD + pod.metadata.name))

    def _claim_changed(self, old: ResourceClaim | None, new: ResourceClaim | None) -> None:
        claim = new or old
        assert claim is not None
        if new is not None:
            self.loop.queue.add(Key(claim.metadata.namespace, CLAIM + claim.metadata.name))
        for pod in self._users.each(key_of(claim)):
            self._pod_changed(pod, pod)

    # the work

    async def reconcile(self, key: Key) -> Result:
        """See `Controller.reconcile`."""
        if not self.writer.fresh(key):
            return DONE
        if key.name.startswith(POD):
            await self._pod(key, Key(key.namespace, key.name.removeprefix(POD)))
        else:
            await self._claim(key, Key(key.namespace, key.name.removeprefix(CLAIM)))
        return DONE

    async def _pod(self, key: Key, place: Key) -> None:
        pod = self._pods.get(place)
        if pod is None or needs_nothing(pod):
            self.writer.forget(key)
            return

        def find(name: str) -> ResourceClaim | None:
            return self._claims.get(Key(key.namespace, name))

        look = Lookup(find, self._owned.get(pod.metadata.uid), lambda name: self._templates.get(Key(key.namespace, name)))
        names: dict[str, str] = {}
        for entry in missing(pod, look):
            claim = entry.found
            if claim is None and entry.template is None:
                text = no_template(pod, entry)
                self.writer.tell(problem(pod, text))
                raise Postponed(text)
            if claim is None:
                try:
                    [claim] = (await self.writer.do(key, Plan((Create(RESOURCE_CLAIMS, from_template(pod, entry)),)))).answers
                except ApiError as error:
                    self.writer.tell(problem(pod, problem_text(entry, f"create ResourceClaim : {error.message}")))
                    raise
            names[entry.wanted.name] = claim.metadata.name
        if names:
            body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": place.name, "namespace": place.namespace, "uid": pod.metadata.uid},
                    "status": {"resourceClaimStatuses": statuses(pod, names)}}
            answer = await self.client.patch(PODS, place.name, place.namespace, body, type=APPLY_PATCH, subresource="status",
                                             field_manager=FIELD_MANAGER, force=True)
            self.writer.wrote(key, PODS, answer)
            pod = answer
        await self.writer.do(key, reservations(pod, find))

    async def _claim(self, key: Key, place: Key) -> None:
        claim = self._claims.get(place)
        if claim is None:
            self.writer.forget(key)
            return
        holders = await self._holders(claim)
        write = freed(claim, holders)
        while write is not None:
            [claim] = (await self.writer.do(key, Plan((write,)))).answers
            write = without_finalizer(claim) if write.subresource else None
        await self.writer.do(key, surplus(claim, holders, lambda name: self._pods.get(Key(key.namespace, name)),
                                          lambda name: self._claims.get(Key(key.namespace, name))))

    async def _holders(self, claim: ResourceClaim) -> Holders:
        return Holders([one for one in claim.status.reservedFor
                        if one.apiGroup or one.resource != "pods" or await self._may_use(claim, one)])

    async def _may_use(self, claim: ResourceClaim, one: ResourceClaimConsumerReference) -> bool:
        """A pod that this cache does not know may be younger than it: the server is asked before it is held to be gone."""
        if one.uid in self._gone:
            return False
        pod = self._pods.get(Key(claim.metadata.namespace, one.name))
        if pod is not None:
            return pod.metadata.uid == one.uid and not is_done(pod)
        try:
            live = await self.client.get(PODS, one.name, claim.metadata.namespace)
        except NotFound:
            return False
        return live.metadata.uid == one.uid
