"""The control loop of pods on tainted nodes, by pod. Decisions are in `decide`."""

from __future__ import annotations

from datetime import datetime

from sampan.api.core.v1 import Node, Pod
from sampan.api.resources import NODES, PODS
from sampan.control.controller import DONE, Context, Controller, Result
from sampan.control.indexes import by_node
from sampan.control.key import Key, key_of
from sampan.controllers.tainteviction.decide import cancelled, evict, execute_taints, leaves_in


class TaintEvictionController(Controller):
    """Deletes pods that may not stay where they are."""

    name = "taint-eviction-controller"

    def __init__(self, context: Context, *, workers: int = 8) -> None:
        super().__init__(context, workers=workers)
        self._nodes, self._pods = self.informers.of(NODES), self.informers.of(PODS)
        self._by_node = self._pods.index(by_node)
        self._since: dict[Key, datetime] = {}
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
            self._since.pop(key_of(old), None)  # also where another pod took its name while nobody listened
        if new is None:
            return
        if new.spec.nodeName and (old is None or (old.spec.nodeName, old.spec.tolerations) != (new.spec.nodeName, new.spec.tolerations)):
            node = self._nodes.get(Key("", new.spec.nodeName))
            if node is not None and execute_taints(node.spec.taints):
                self.loop.enqueue(new)

    async def reconcile(self, key: Key) -> Result:
        """See `Controller.reconcile`."""
        pod = self._pods.get(key)
        if pod is None:
            self._since.pop(key, None)
            self.writer.forget(key)
            return DONE
        if not self.writer.fresh(key):
            return DONE
        node, now = self._nodes.get(Key("", pod.spec.nodeName)), self.clock.now()
        taints = execute_taints(node.spec.taints) if node is not None else []
        left = leaves_in(pod, taints, self._since.get(key, now), now)
        if left is None:
            if self._since.pop(key, None) is not None and pod.metadata.deletionTimestamp is None:
                self.writer.tell(cancelled(pod))
            return DONE
        self._since.setdefault(key, now)
        if left > 0:
            return Result(left)
        await self.writer.do(key, evict(pod, now))
        return DONE
