"""The control loop of nodes' TTL annotations."""

from __future__ import annotations

from sampan.api.core.v1 import Node
from sampan.api.resources import NODES
from sampan.control.controller import DONE, Context, Controller, Result
from sampan.control.key import Key, key_of
from sampan.controllers.nodettl.decide import Boundary, decide


class NodeTtlController(Controller):
    """Tells node agents how long to trust what they have cached."""

    name = "ttl-controller"

    def __init__(self, context: Context, *, workers: int = 5) -> None:
        super().__init__(context, workers=workers)
        self._boundary = Boundary()
        self._nodes = self.informers.of(NODES)
        self._nodes.on_change(self._node_changed)
        self.loop.wait_for(self._nodes)

    def _node_changed(self, old: Node | None, new: Node | None) -> None:
        if (old is None or new is None) and self._boundary.move(len(self._nodes)):
            for node in self._nodes.items():
                self.loop.enqueue(node)
        if new is not None and (old is None or old.metadata.annotations != new.metadata.annotations):
            self.loop.queue.add(key_of(new))

    async def reconcile(self, key: Key) -> Result:
        """See `Controller.reconcile`."""
        node = self._nodes.get(key)
        if node is not None and self.writer.fresh(key):
            await self.writer.do(key, decide(node, self._boundary.ttl_seconds))
        return DONE
