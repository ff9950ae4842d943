"""Carrying out a claim: what is adopted and released is written, and the owner works with what the server answered.

Owns finding what an owner has and what it might adopt. Leaves to `ownership.claim` which objects those are. Source: kube-controller-manager `controller_ref_manager.go`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from sampan.api.resourceinfo import Resource
from sampan.client.base import Client
from sampan.control.indexes import by_controller, orphans, orphans_by_label, selected
from sampan.control.informer import Informer
from sampan.control.key import Key, key_of
from sampan.control.ownership import Claim, Matches, adoption, claim, release
from sampan.control.pods import owner_reference
from sampan.control.writer import Writer
from sampan.kinds.plan import Plan

T = TypeVar("T")


@dataclass(frozen=True)
class Claiming:
    """For one kind of owners and one kind of objects."""

    client: Client
    writer: Writer
    owners: Resource[Any]
    objects: Informer[Any]
    finalizer: str = ""  # what the owner's objects carry: given with adoption, taken with release

    def near(self, owner: Any) -> list[Any]:
        """What the owner manages, and what nobody manages and its selector may match."""
        meta, selector = owner.metadata, owner.spec.selector
        required = selector if isinstance(selector, dict) else selector.matchLabels if selector is not None else {}
        free: list[Any] = selected(self.objects.index(orphans_by_label), meta.namespace, required) if required \
            else self.objects.index(orphans).get(meta.namespace)
        return self.objects.index(by_controller).get(meta.uid) + free

    async def hold(self, key: Key, owner: Any, matches: Matches, *, adoptable: Callable[[Any], bool] = lambda _: True) -> list[Any]:
        """Claim what is near: `settle` with what an owner keeps, adopts and lets go by the labels that it `matches`.

        Raises:
            ApiError: See `settle`.
        """
        return await self.settle(key, owner, claim(owner, matches, self.near(owner), adoptable=adoptable))

    async def settle(self, key: Key, owner: Any, claimed: Claim[T]) -> list[T]:
        """Adopt and release; give what the owner has now, at the revisions that the writes made.

        Nothing is adopted or released where the owner is being deleted or is another one by now: the cache may be behind,
        so the server is asked before anything is adopted.

        Raises:
            ApiError: The owner can't be read, or a write failed.
        """
        if claimed.adopt:
            live = await self.client.get(self.owners, key.name, key.namespace)
            if live.metadata.uid != owner.metadata.uid or live.metadata.deletionTimestamp is not None:
                return claimed.kept()
        reference = owner_reference(self.owners, owner)
        resource = self.objects.resource
        writes = [adoption(resource, obj, reference, finalizer=self.finalizer) for obj in claimed.adopt]
        writes += [release(resource, obj, owner.metadata.uid, finalizer=self.finalizer) for obj in claimed.release]
        if not writes:
            return claimed.owned
        outcome = await self.writer.do(key, Plan(tuple(writes)))
        changed: dict[Key, Any] = {key_of(obj): obj for obj in outcome.answers}
        return [changed.get(key_of(obj), obj) for obj in claimed.owned]
