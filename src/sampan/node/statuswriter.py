"""Writes pods' statuses: only what changed, one write at a time a pod, the newest wins.

Source: kubelet `pkg/kubelet/status/status_manager.go`.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from msgspec.structs import astuple

from sampan.aio.clock import AsyncClock
from sampan.aio.tasks import Tasks
from sampan.api import codec
from sampan.api.core.v1 import Pod, PodCondition, PodStatus
from sampan.api.errors import ApiError, Conflict, NotFound
from sampan.api.resources import PODS
from sampan.client.base import STRATEGIC_PATCH, Client, DeleteOptions
from sampan.control.key import revision_of

log = logging.getLogger(__name__)

RETRY_SECONDS = 1.0
# computed by others; a patch of ours never names them
FOREIGN = ("nominatedNodeName", "qosClass", "resourceClaimStatuses", "resize")


class StatusWriter:
    """The statuses of one node's pods on their way to the API."""

    def __init__(self, client: Client, tasks: Tasks, *, clock: AsyncClock) -> None:
        self._client, self._tasks, self._clock = client, tasks, clock
        self._wanted: dict[str, tuple[Pod, PodStatus]] = {}
        self._written: dict[str, PodStatus] = {}  # the worker's own, or that of the pod that the informer has
        self._revisions: dict[str, int] = {}  # of what was written
        self._uncertain: set[str] = set()  # whose last write was not answered well
        self._running: dict[str, asyncio.Task[None]] = {}

    def put(self, pod: Pod, status: PodStatus) -> None:
        """Report this status, which nobody changes any more."""
        uid, revision = pod.metadata.uid, revision_of(pod)
        if uid not in self._written or (revision > self._revisions.get(uid, 0) and uid not in self._running):
            # what others wrote after us counts: the node controller calls pods of a silent node not ready, for one
            self._written[uid], self._revisions[uid] = pod.status, revision
        if uid in self._running:
            self._wanted[uid] = (pod, status)
        elif status != self._written[uid]:
            self._wanted[uid] = (pod, status)
            self._running[uid] = self._tasks.start(self._write(uid), f"status {uid}", keep_going=True)

    async def flush(self, uid: str) -> None:
        """Return when what was put has been written."""
        while (task := self._running.get(uid)) is not None:
            await asyncio.wait([task])

    async def delete(self, pod: Pod) -> None:
        """The pod has ended here: let the API server forget it."""
        uid = pod.metadata.uid
        try:
            await self._client.delete(PODS, pod.metadata.name, pod.metadata.namespace,
                                      DeleteOptions(grace_period_seconds=0, uid=uid))
        except (NotFound, Conflict):
            pass  # somebody was faster, or the name belongs to another pod by now

    def forget(self, uid: str) -> None:
        """The pod is gone from here."""
        self._wanted.pop(uid, None)
        self._written.pop(uid, None)
        self._revisions.pop(uid, None)
        self._uncertain.discard(uid)

    async def _write(self, uid: str) -> None:
        try:
            while (found := self._wanted.pop(uid, None)) is not None:
                pod, wanted = found
                try:
                    await self._one(uid, pod, wanted)
                except NotFound:
                    return
                except ApiError as error:
                    log.warning("status not written", extra={"pod": pod.metadata.name, "error": str(error)})
                    if uid in self._written:
                        self._uncertain.add(uid)
                        await self._clock.sleep(RETRY_SECONDS)
                if uid not in self._written:  # forgotten meanwhile
                    return
                if uid in self._uncertain:
                    self._wanted.setdefault(uid, found)
        finally:
            self._running.pop(uid, None)

    async def _one(self, uid: str, pod: Pod, wanted: PodStatus) -> None:
        name, namespace = pod.metadata.name, pod.metadata.namespace
        if uid in self._uncertain:
            # the write before may have taken effect all the same: ask what there is
            there = await self._client.get(PODS, name, namespace)
            if there.metadata.uid != uid or uid not in self._written:
                raise NotFound.of(PODS.plural, PODS.group, name)
            self._written[uid], self._revisions[uid] = there.status, revision_of(there)
            self._uncertain.discard(uid)
        patch = difference(self._written[uid], wanted)
        if patch:  # otherwise only what others compute differs
            answer = await self._client.patch(PODS, name, namespace, {"metadata": {"uid": uid}, "status": patch},
                                              type=STRATEGIC_PATCH, subresource="status")
            if uid in self._revisions:
                self._revisions[uid] = revision_of(answer)
        if uid in self._written:  # not forgotten meanwhile
            self._written[uid] = wanted


def difference(old: PodStatus, new: PodStatus) -> dict[str, Any]:
    """The strategic patch from one status to another, for the encoder; a field that went is null. Lists with a merge key replace whole."""
    out: dict[str, Any] = {}
    for name, was, now in zip(PodStatus.__struct_fields__, astuple(old), astuple(new), strict=True):
        if was == now or name in FOREIGN:
            continue
        if name == "conditions":
            before = {condition.type: condition for condition in was}
            out[name] = [_told(before.get(condition.type), condition) for condition in now if before.get(condition.type) != condition]
        elif name in ("podIPs", "hostIPs") and now:
            out[name] = [{"$patch": "replace"}, *now]
        else:
            out[name] = now or None
    return out


def _told(before: PodCondition | None, now: PodCondition) -> Any:
    """A condition in a patch; a reason or message that went is null, since a merge keeps what it is not told."""
    if before is None:
        return now
    went = [name for name, was, there in zip(PodCondition.__struct_fields__, astuple(before), astuple(now), strict=True) if was and not there]
    return codec.to_builtins(now) | dict.fromkeys(went) if went else now
