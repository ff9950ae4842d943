"""The control loop of pods on tainted nodes, by pod. Decisions are in `decide`."""

from __future__ import annotations

from datetime import datetime

from sampan.api.core.v1 import Node, Pod
from sampan.api.resources import NODES, PODS
from sampan.control.controller import DONE, Context, Controller, Result
from sampan.control.indexes import by_node
from sampan.control.key import Key, key_of
from sampan.controllers.tainteviction.decide import cancelled, evict, execute_taints, step


class TaintEvictionController(Controller):
    """Deletes pods that may not stay where they are."""

    name = "taint-eviction-controller"

    def __init__(self, context: Context, *, workers: int = 8) -> None:
        super().__init__(context, workers=workers)
        self._nodes, self._pods = self.informers.of(NODES), self.informers.of(PODS)
        self._by_node = self._pods.index(by_node)
        self._due: dict[Key, tuple[Pod | None, datetime]] = {}  # when who is to go; no pod: it is going, as far as the server lets it
        self.loop.wait_for(self._nodes, self._pods)
        self._nodes.on_change(self._node_changed)
        self._pods.on_change(self._pod_changed)

    def _node_changed(self, old: Node | None, new: Node | None) -> None:
        before = execute_taints(old.spec.taints) if old is not None else []
        after = execute_taints(new.spec.taints) if new is not None else []
        if new is not None and before != after:
            for pod in self._by_node.get(new.metadata.name):
                self.loop.enqueue(pod)

    def _pod_changed(self, old: Pod | None, new: Pod | None) -> None:
        if old is not None and (new is None or new.metadata.uid != old.metadata.uid):
            self._cancel(key_of(old))  # also where another pod took its name while nobody listened
            self.writer.forget(key_of(old))
        if new is None:
            return
        if new.spec.nodeName and (old is None or (old.spec.nodeName, old.spec.tolerations) != (new.spec.nodeName, new.spec.tolerations)):
            node = self._nodes.get(Key("", new.spec.nodeName))
            if node is not None and execute_taints(node.spec.taints):
                self.loop.enqueue(new)

    def _cancel(self, key: Key) -> None:
        pod, _ = self._due.pop(key, (None, None))
        if pod is not None:
            self.writer.tell(cancelled(pod))

    async def reconcile(self, key: Key) -> Result:
        """See `Controller.reconcile`."""
        pod = self._pods.get(key)
        if pod is None:
            self._due.pop(key, None)
            self.writer.forget(key)
            return DONE
        if not self.writer.fresh(key):
            return DONE
        node, now = self._nodes.get(Key("", pod.spec.nodeName)), self.clock.now()
        planned = self._due.get(key)
        taken = step(pod, execute_taints(node.spec.taints) if node is not None else None, planned[1] if planned is not None else None, now)
        if taken.cancelled:
            self._cancel(key)
        self._due.pop(key, None)
        if taken.evict:
            outcome = await self.writer.apply(key, evict(pod, now))
            if outcome.failures:
                self._due[key] = None, now
            outcome.raise_first()
        elif taken.due is not None:
            self._due[key] = pod, taken.due
            return Result((taken.due - now).total_seconds())
        return DONE
