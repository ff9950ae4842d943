"""Carrying out a claim: what is adopted and released is written, and the owner works with what the server answered.

Leaves to `ownership.claim` which objects those are. Source: kube-controller-manager `controller_ref_manager.go`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

from sampan.api.resourceinfo import Resource
from sampan.client.base import Client
from sampan.control.key import Key, key_of
from sampan.control.ownership import Claim, adoption, release
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
    objects: Resource[Any]

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
        writes = [adoption(self.objects, obj, reference) for obj in claimed.adopt]
        writes += [release(self.objects, obj, owner.metadata.uid) for obj in claimed.release]
        outcome = await self.writer.do(key, Plan(tuple(writes)))
        changed: dict[Key, Any] = {key_of(obj): obj for obj in outcome.answers}
        return [changed.get(key_of(obj), obj) for obj in claimed.owned]
