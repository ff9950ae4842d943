"""The control loop of nodes: listens for heartbeats, sets conditions and taints, knows the zones.

A heartbeat only moves a number; a node is looked at when its time may be over, so idle nodes cost next to nothing.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from sampan.api.coordination.v1 import Lease
from sampan.api.core.v1 import Node, Pod
from sampan.api.errors import NotFound
from sampan.api.resources import LEASES, NODES, PODS
from sampan.control.controller import DONE, Context, Controller, Result
from sampan.control.indexes import by_node
from sampan.control.key import Key
from sampan.control.queue import TokenBucket
from sampan.controllers.nodelifecycle.decide import (
    execute_key,
    has_taint,
    readiness,
    retainted,
    silenced,
    unready,
    zone_of,
    zone_state,
)
from sampan.controllers.settings import ManagerSettings
from sampan.kinds.plan import EventRecord, Plan

LEASE_NAMESPACE = "kube-node-lease"


@dataclass
class _Health:
    heard: float  # when the last sign of life was seen, on the steady clock
    ready: str
    zone: str


class NodeLifecycleController(Controller):
    """Tells who is silent and keeps pods away from there."""

    name = "node-lifecycle-controller"
    component = "node-controller"

    def __init__(self, context: Context, settings: ManagerSettings = ManagerSettings(), *, workers: int = 8) -> None:
        super().__init__(context, workers=workers)
        self._settings = settings
        self._nodes, leases, pods = self.informers.of(NODES), self.informers.of(LEASES), self.informers.of(PODS)
        self._pods = pods.index(by_node)
        self._health: dict[str, _Health] = {}
        self._ready: Counter[str] = Counter()
        self._not_ready: Counter[str] = Counter()
        self._buckets: dict[str, TokenBucket] = {}
        self._all_silent = False
        self.loop.wait_for(self._nodes, leases, pods)
        self._nodes.on_change(self._node_changed)
        leases.on_change(self._lease_changed)
        pods.on_change(self._pod_changed)

    # what is heard

    def _node_changed(self, old: Node | None, new: Node | None) -> None:
        if new is None:
            assert old is not None
            self._gone(old)
            return
        name, now = new.metadata.name, self.clock.monotonic()
        health = self._health.get(name)
        if health is None:
            health = self._health[name] = _Health(now, "", "")
            self._count(health, +1)
            self.recorder.record(new, "Normal", "RegisteredNode", f"Node {name} event: Registered Node {name} in Controller")
        elif old is not None and old.status.conditions != new.status.conditions and readiness(new) != "Unknown":
            health.heard = now
        self._count(health, -1)
        health.ready, health.zone = readiness(new), zone_of(new)
        self._count(health, +1)
        self._disruption()
        if old is None or (old.status.conditions, old.spec) != (new.status.conditions, new.spec):
            self.loop.queue.add(Key("", name))

    def _gone(self, old: Node) -> None:
        name = old.metadata.name
        health = self._health.pop(name, None)
        if health is not None:
            self._count(health, -1)
            self._disruption()
        self.recorder.record(old, "Normal", "RemovingNode", f"Node {name} event: Removing Node {name} from Controller")

    def _lease_changed(self, _: Lease | None, new: Lease | None) -> None:
        if new is not None and new.metadata.namespace == LEASE_NAMESPACE:
            health = self._health.get(new.metadata.name)
            if health is not None:
                health.heard = self.clock.monotonic()

    def _pod_changed(self, old: Pod | None, new: Pod | None) -> None:
        """A pod that comes to a silent node is out of service, too."""
        if new is not None and new.spec.nodeName and (old is None or not old.spec.nodeName):
            health = self._health.get(new.spec.nodeName)
            if health is not None and health.ready == "Unknown":
                self.loop.queue.add(Key("", new.spec.nodeName))

    # zones

    def _count(self, health: _Health, by: int) -> None:
        (self._ready if health.ready == "True" else self._not_ready)[health.zone] += by

    def _state(self, zone: str) -> str:
        return zone_state(self._ready[zone], self._not_ready[zone], self._settings.unhealthy_zone_threshold)

    def _disruption(self) -> None:
        """When every zone is silent, it is probably this process that hears nothing: nobody is evicted then."""
        zones = {zone for zone in (*self._ready, *self._not_ready) if self._ready[zone] + self._not_ready[zone] > 0}
        silent = bool(zones) and all(self._state(zone) == "FullDisruption" for zone in zones)
        if silent != self._all_silent:
            self._all_silent = silent
            now = self.clock.monotonic()
            for name, health in self._health.items():
                if not silent:
                    health.heard = now
                if health.ready != "True":
                    self.loop.queue.add(Key("", name))

    def _rate(self, zone: str) -> float:
        if self._state(zone) != "PartialDisruption":
            return self._settings.node_eviction_rate
        large = len(self._health) > self._settings.large_cluster_size_threshold
        return self._settings.secondary_node_eviction_rate if large else 0.0

    # the work

    async def reconcile(self, key: Key) -> Result:
        """See `Controller.reconcile`."""
        node, health = self._nodes.get(key), self._health.get(key.name)
        if node is None or health is None:
            self.writer.forget(key)
            return DONE
        if not self.writer.fresh(key):
            return DONE
        settings = self._settings
        grace = settings.node_monitor_grace_period if readiness(node) else settings.node_startup_grace_period
        left = health.heard + grace - self.clock.monotonic()
        if left <= 0:
            await self._silence(key, node)
        elif readiness(node) == "Unknown":
            await self._take_out(key)
        execute, wait = self._execute(node, health)
        patch = retainted(node, execute, self.clock.now())
        if patch is not None:
            await self.writer.do(key, Plan((patch,)))
        waits = [one for one in (left if left > 0 else settings.node_monitor_grace_period, wait) if one is not None]
        return Result(min(waits))

    async def _silence(self, key: Key, node: Node) -> None:
        write = silenced(node, self.clock.now())
        if write is not None:
            was_ready, name = readiness(node) == "True", node.metadata.name
            event = EventRecord(node, "Normal", "NodeNotReady", f"Node {name} status is now: NodeNotReady")
            await self.writer.do(key, Plan((write,), None, (event,) if was_ready else ()))
        await self._take_out(key)

    async def _take_out(self, key: Key) -> None:
        for write in unready(self._pods.get(key.name), self.clock.now()):
            event = EventRecord(write.object, "Warning", "NodeNotReady", "Node is not ready")
            outcome = await self.writer.apply(key, Plan((write,), None, (event,)))
            outcome.failures = [(one, error) for one, error in outcome.failures if not isinstance(error, NotFound)]
            outcome.raise_first()

    def _execute(self, node: Node, health: _Health) -> tuple[str | None, float | None]:
        """The key of the NoExecute taint to have now (None: as it is), and when to look again."""
        wanted = execute_key(node)
        if not readiness(node):
            return None, None
        if not wanted or self._all_silent:
            return "", None
        if has_taint(node, wanted, "NoExecute"):
            return wanted, None
        others = any(taint.effect == "NoExecute" and taint.key.startswith("node.kubernetes.io/") for taint in node.spec.taints)
        rate = self._rate(health.zone)
        if others:
            return wanted, None  # only exchanged for another reason
        if rate <= 0:
            return None, 10.0
        now = self.clock.monotonic()
        bucket = self._buckets.setdefault(health.zone, TokenBucket(rate, 1, now))
        return (wanted, None) if bucket.take(now, rate) else (None, 1.0 / rate)
