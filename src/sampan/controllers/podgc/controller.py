"""The control loop of pods that nobody looks after. Its keys are pods; deletions of nodes and finished pods wake it."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Any

from sampan.api.core.v1 import Node, Pod
from sampan.api.errors import NotFound
from sampan.api.resources import NODES, PODS
from sampan.control.controller import DONE, Context, Controller, Result
from sampan.control.indexes import by_node
from sampan.control.key import Key
from sampan.control.pods import is_terminal, is_terminating
from sampan.controllers.podgc.decide import QUARANTINE_SECONDS, is_out_of_service, orphaned, plain, surplus
from sampan.kinds.plan import Plan

SWEEP, SWEEP_SECONDS = Key("", ""), 20.0  # upstream's gcCheckPeriod


def finished_pods(pod: Any) -> Iterable[Hashable]:
    """All pods that have ended, under one value."""
    return ("finished",) if is_terminal(pod) else ()


class PodGarbageCollector(Controller):
    """Deletes pods of nodes that are gone, terminating pods that were never scheduled, finished pods over a threshold."""

    name = "pod-garbage-collector-controller"

    def __init__(self, context: Context, *, threshold: int = 12500, workers: int = 2) -> None:
        super().__init__(context, workers=workers)
        self._threshold = threshold
        self._nodes, self._pods = self.informers.of(NODES), self.informers.of(PODS)
        self._by_node, self._finished = self._pods.index(by_node), self._pods.index(finished_pods)
        self._missing: dict[str, float] = {}
        self.loop.wait_for(self._nodes, self._pods)
        self._nodes.on_change(self._node_changed)
        self._pods.on_change(self._pod_changed)

    def _node_changed(self, old: Node | None, new: Node | None) -> None:
        if new is not None:
            self._missing.pop(new.metadata.name, None)
            if is_out_of_service(new) and not (old is not None and is_out_of_service(old)):
                for pod in self._by_node.get(new.metadata.name):
                    self.loop.enqueue(pod)
        elif old is not None:
            for pod in self._by_node.get(old.metadata.name):
                self.loop.enqueue(pod)

    def _pod_changed(self, old: Pod | None, new: Pod | None) -> None:
        if new is None:
            return
        if not new.spec.nodeName:
            if is_terminating(new):
                self.loop.enqueue(new)
        elif (old is None or not old.spec.nodeName or (is_terminating(new) and not is_terminating(old))) \
                and self._lost(new):
            self.loop.enqueue(new)
        if is_terminal(new) and self._finished.count("finished") > self._threshold > 0:
            self.loop.queue.add_after(SWEEP, SWEEP_SECONDS)

    def _lost(self, pod: Pod) -> bool:
        node = self._nodes.get(Key("", pod.spec.nodeName))
        return node is None or is_out_of_service(node)

    async def reconcile(self, key: Key) -> Result:
        """See `Controller.reconcile`."""
        if key == SWEEP:
            return await self._sweep()
        pod, now = self._pods.get(key), self.clock.now()
        if pod is None:
            self.writer.forget(key)
            return DONE
        if not self.writer.fresh(key):
            return DONE
        node = self._nodes.get(Key("", pod.spec.nodeName)) if pod.spec.nodeName else None
        if pod.spec.nodeName and node is None:
            return await self._orphan(key, pod)
        if is_terminating(pod) and (node is None or is_out_of_service(node)):
            await self.writer.do(key, plain(pod, now))
        return DONE

    async def _sweep(self) -> Result:
        """All finished pods are put in order once for all that end within a while: there may be thousands."""
        if not self.writer.fresh(SWEEP):
            return Result(SWEEP_SECONDS)
        now, doomed = self.clock.now(), surplus(self._finished.get("finished"), self._threshold)
        await self.writer.do(SWEEP, Plan(tuple(write for pod in doomed for write in plain(pod, now).writes)))
        return DONE

    async def _orphan(self, key: Key, pod: Pod) -> Result:
        """A node that is gone may come back: its pods are left alone for a while, then it is looked for at the server."""
        name, now = pod.spec.nodeName, self.clock.monotonic()
        since = self._missing.setdefault(name, now)
        if now < since + QUARANTINE_SECONDS:
            return Result(since + QUARANTINE_SECONDS - now)
        try:
            await self.client.get(NODES, name)
        except NotFound:
            # also one that is marked as failed and being deleted: the deletion may be what did not come about
            await self.writer.do(key, orphaned(pod, self.clock.now()))
            if not self._by_node.count(name):
                self._missing.pop(name, None)
        return DONE
