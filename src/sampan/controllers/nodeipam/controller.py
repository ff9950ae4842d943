"""The control loop of nodes' address ranges."""

from __future__ import annotations

from collections.abc import Collection

from sampan.api.core.v1 import Node
from sampan.api.resources import NODES
from sampan.control.controller import DONE, Context, Controller, Result
from sampan.control.key import Key, key_of
from sampan.controllers.nodeipam.decide import decide, pools


class NodeIpamController(Controller):
    """Gives every node its ranges of pod addresses."""

    name = "node-ipam-controller"
    component = "cidrAllocator"

    def __init__(self, context: Context, clusters: Collection[str], *, masks: tuple[int, int] = (24, 64),
                 reserved: Collection[str] = ()) -> None:
        super().__init__(context, workers=1)  # one after another: a range is given once
        self._pools = pools(clusters, masks, reserved)
        self._nodes = self.informers.of(NODES)
        self._nodes.on_change(self._node_changed)
        self.loop.wait_for(self._nodes)

    def _node_changed(self, old: Node | None, new: Node | None) -> None:
        for node, taken in ((old, False), (new, True)):
            for text in node.spec.podCIDRs if node is not None else ():
                for pool in self._pools:
                    pool.mark(text, taken=taken)
        if new is not None and not new.spec.podCIDRs:
            self.loop.queue.add(key_of(new))

    async def reconcile(self, key: Key) -> Result:
        """See `Controller.reconcile`."""
        node = self._nodes.get(key)
        if node is None or not self.writer.fresh(key):
            return DONE
        plan = decide(node, self._pools)
        outcome = await self.writer.apply(key, plan)
        for write, _ in outcome.failures:
            for text in write.patch["spec"]["podCIDRs"]:  # type: ignore[union-attr]
                for pool in self._pools:
                    pool.mark(text, taken=False)
        outcome.raise_first()
        return Result(plan.requeue_after_seconds)
