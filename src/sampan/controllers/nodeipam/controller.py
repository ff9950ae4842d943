"""The control loop of nodes' address ranges."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from sampan.api.core.v1 import Node
from sampan.api.resources import NODES
from sampan.control.controller import DONE, Context, Controller, Result
from sampan.control.key import Key, key_of
from sampan.control.writer import UNSURE_CODE
from sampan.controllers.nodeipam.decide import decide, give, pools, told
from sampan.kinds.plan import Patch


class NodeIpamController(Controller):
    """Gives every node its ranges of pod addresses."""

    name = "node-ipam-controller"
    component = "cidrAllocator"

    def __init__(self, context: Context, clusters: Collection[str], *, masks: tuple[int, int] = (24, 64),
                 reserved: Collection[str] = ()) -> None:
        super().__init__(context, workers=1)  # one after another: a range is given once
        self._pools = pools(clusters, masks, reserved)
        self._unsure: dict[Key, tuple[str, ...]] = {}  # ranges given to nodes that did not answer
        self._nodes = self.informers.of(NODES)
        self._nodes.on_change(self._node_changed)
        self.loop.wait_for(self._nodes)

    def _node_changed(self, old: Node | None, new: Node | None) -> None:
        node = new or old
        if node is not None and (new is None or new.spec.podCIDRs):
            self._mark(self._unsure.pop(key_of(node), ()), taken=False)
        self._mark(old.spec.podCIDRs if old is not None else (), taken=False)
        self._mark(new.spec.podCIDRs if new is not None else (), taken=True)
        if new is not None and not new.spec.podCIDRs:
            self.loop.queue.add(key_of(new))

    def _mark(self, ranges: Iterable[str], *, taken: bool) -> None:
        for text in ranges:
            for pool in self._pools:
                pool.mark(text, taken=taken)

    async def reconcile(self, key: Key) -> Result:
        """See `Controller.reconcile`."""
        node = self._nodes.get(key)
        if node is None or not self.writer.fresh(key):
            return DONE
        plan = give(node, self._unsure[key]) if key in self._unsure else decide(node, self._pools)
        outcome = await self.writer.apply(key, plan)
        for write, error in outcome.failures:
            assert isinstance(write, Patch)
            self.writer.tell(told(node, "CIDRAssignmentFailed"))
            given = tuple(write.patch["spec"]["podCIDRs"])
            if error.code >= UNSURE_CODE:
                self._unsure[key] = given  # the node may have them for all we know: it is offered the same again
            else:
                self._unsure.pop(key, None)
                self._mark(given, taken=False)
        outcome.raise_first()
        return Result(plan.requeue_after_seconds)
