"""The control loop of nodes: listens for heartbeats, sets conditions and taints, knows the zones.

A heartbeat only moves a number; a node is looked at when its time may be over, so idle nodes cost next to nothing.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field

from sampan.api.coordination.v1 import Lease
from sampan.api.core.v1 import Node, Pod
from sampan.api.errors import Conflict, NotFound
from sampan.api.resources import LEASES, NODES, PODS
from sampan.control.controller import DONE, Context, Controller, Result
from sampan.control.indexes import by_node
from sampan.control.key import Key, key_of
from sampan.control.queue import TokenBucket
from sampan.controllers.nodelifecycle.decide import (
    EXCLUDED,
    ZoneState,
    execute_key,
    has_taint,
    heartbeat,
    opposite,
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
TAINT_RETRY_SECONDS = 0.1  # and up to as much again: upstream's UpdateTaintBackoff
PASS_SECONDS = 0.1  # from one pass that taints nodes to the next


@dataclass
class _Health:
    heard: float  # when the last sign of life was seen, on the steady clock
    renewed: str = ""  # the newest renewal of its lease that was seen
    ready: str = ""
    zone: str | None = ""  # None: it does not count
    new: bool = True
    unfit_since: float | None = None  # when it was first found to need a taint that drives pods away
    retry: bool = False  # its pods are still to be taken out of service
    paused_until: float = 0.0  # somebody else was writing to it, too
    arrived: set[Key] = field(default_factory=set)  # pods that came while it was not ready


class NodeLifecycleController(Controller):
    """Tells who is silent and keeps pods away from there."""

    name = "node-lifecycle-controller"
    component = "node-controller"

    def __init__(self, context: Context, settings: ManagerSettings = ManagerSettings(), *, workers: int = 8) -> None:
        super().__init__(context, workers=workers)
        self._settings = settings
        self._nodes, self._leases, self._all_pods = self.informers.of(NODES), self.informers.of(LEASES), self.informers.of(PODS)
        self._pods = self._all_pods.index(by_node)
        self._health: dict[str, _Health] = {}
        self._ready: Counter[str] = Counter()
        self._not_ready: Counter[str] = Counter()
        self._buckets: dict[str, TokenBucket] = {}
        self._states: dict[str, ZoneState] = {}
        self._all_silent = False
        self.loop.wait_for(self._nodes, self._leases, self._all_pods)
        self._nodes.on_change(self._node_changed)
        self._leases.on_change(self._lease_changed)
        self._all_pods.on_change(self._pod_changed)

    # what is heard

    def _node_changed(self, old: Node | None, new: Node | None) -> None:
        if new is None:
            assert old is not None
            self._gone(old)
            return
        name = new.metadata.name
        health = self._health.get(name)
        if health is None:
            health = self._health[name] = self._met(new)
            self._count(health, +1)
            self.recorder.record(new, "Normal", "RegisteredNode", f"Node {name} event: Registered Node {name} in Controller")
        elif old is not None and heartbeat(old) != heartbeat(new):
            health.heard = self.clock.monotonic()
        self._count(health, -1)
        health.ready, health.zone = readiness(new), zone_of(new) if EXCLUDED not in new.metadata.labels else None
        self._count(health, +1)
        self._disruption()
        if old is None or (old.status.conditions, old.spec, old.metadata.labels) != (new.status.conditions, new.spec, new.metadata.labels):
            self.loop.queue.add(Key("", name))

    def _met(self, node: Node) -> _Health:
        """A node that never reported may have had its time before this process began; of others nothing is known."""
        now, born = self.clock.monotonic(), node.metadata.creationTimestamp
        lease = self._leases.get(Key(LEASE_NAMESPACE, node.metadata.name))
        if lease is not None and lease.spec.renewTime is not None:
            return _Health(now, lease.spec.renewTime, retry=readiness(node) == "Unknown")
        if not readiness(node) and born is not None:
            return _Health(now - max(0.0, (self.clock.now() - born.moment()).total_seconds()))
        return _Health(now, retry=readiness(node) == "Unknown")

    def _gone(self, old: Node) -> None:
        name = old.metadata.name
        health = self._health.pop(name, None)
        if health is not None:
            self._count(health, -1)
            self._disruption()
        self.recorder.record(old, "Normal", "RemovingNode", f"Node {name} event: Removing Node {name} from Controller")

    def _lease_changed(self, _: Lease | None, new: Lease | None) -> None:
        if new is None or new.metadata.namespace != LEASE_NAMESPACE or new.spec.renewTime is None:
            return
        health = self._health.get(new.metadata.name)
        if health is not None and new.spec.renewTime > health.renewed:
            health.heard, health.renewed = self.clock.monotonic(), new.spec.renewTime

    def _pod_changed(self, old: Pod | None, new: Pod | None) -> None:
        """A pod that comes to a node which is not ready is out of service, too."""
        if new is None or not new.spec.nodeName or (old is not None and old.spec.nodeName) or not self._all_pods.synced.is_set():
            return
        health = self._health.get(new.spec.nodeName)
        if health is not None and health.ready not in ("", "True"):
            health.arrived.add(key_of(new))
            self.loop.queue.add(Key("", new.spec.nodeName))

    # zones

    def _count(self, health: _Health, by: int) -> None:
        if health.zone is not None:
            (self._ready if health.ready == "True" else self._not_ready)[health.zone] += by

    def _state(self, zone: str) -> ZoneState:
        return zone_state(self._ready[zone], self._not_ready[zone], self._settings.unhealthy_zone_threshold)

    def _disruption(self) -> None:
        """When every zone is silent, it is probably this process that hears nothing: nobody is evicted then."""
        zones = {zone for zone in (*self._ready, *self._not_ready) if self._ready[zone] + self._not_ready[zone] > 0}
        states = {zone: self._state(zone) for zone in zones}
        other = {zone for zone, state in states.items() if self._states.get(zone) != state}
        self._states = states
        for name, health in self._health.items() if other else ():
            if health.zone in other and health.ready not in ("", "True"):
                self.loop.queue.add(Key("", name))  # the pace of its zone is another one now
        silent = bool(states) and all(state == "FullDisruption" for state in states.values())
        if silent != self._all_silent:
            self._all_silent = silent
            now = self.clock.monotonic()
            for name, health in self._health.items():
                if not silent:
                    health.heard = now
                if health.ready != "True":
                    self.loop.queue.add(Key("", name))

    def _rate(self, zone: str) -> float:
        """How many nodes of a zone are tainted a second, at most."""
        if self._state(zone) != "PartialDisruption":
            return self._settings.node_eviction_rate
        large = self._ready[zone] + self._not_ready[zone] > self._settings.large_cluster_size_threshold
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
        if (pause := health.paused_until - self.clock.monotonic()) > 0.001:
            return Result(pause)
        settings = self._settings
        grace = settings.node_monitor_grace_period if readiness(node) else settings.node_startup_grace_period
        left = health.heard + grace - self.clock.monotonic()
        if left <= 0.001 and await self._silence(key, node):
            health.retry = True
        elif readiness(node) == "True":
            health.retry = False
            health.arrived.clear()
        await self._take_out(key, health)
        execute, wait = self._execute(node, health)
        health.new = False
        patch = retainted(node, execute, self.clock.now())
        if patch is not None:
            try:
                await self.writer.do(key, Plan((patch,)))
            except Conflict:
                return self._paused(health)
        look_again = self._tick(left if left > 0.001 else settings.node_monitor_grace_period)
        return Result(look_again if wait is None else min(look_again, wait))

    def _paused(self, health: _Health) -> Result:
        """Leave the node alone for a while: a kubelet that registers writes several times."""
        pause = TAINT_RETRY_SECONDS * (1 + self.identity.chance.random())
        health.paused_until = self.clock.monotonic() + pause
        return Result(pause)

    def _tick(self, seconds: float) -> float:
        """So long, and until the next of the moments at which all nodes are looked at: those that fall silent together are seen together."""
        now, period = self.clock.monotonic(), self._settings.node_monitor_period
        return math.ceil((now + seconds) / period) * period - now

    async def _silence(self, key: Key, node: Node) -> bool:
        """Say that nothing is heard of the node; whether its pods go with it: not if the kubelet had called it not ready itself."""
        write = silenced(node, self.clock.now())
        if write is None:
            return False
        was_ready, name = readiness(node) == "True", node.metadata.name
        event = EventRecord(node, "Normal", "NodeNotReady", f"Node {name} status is now: NodeNotReady")
        await self.writer.do(key, Plan((write,), None, (event,) if was_ready else ()))
        return was_ready

    async def _take_out(self, key: Key, health: _Health) -> None:
        """Pods of a node that fell silent, and those that came later, are not ready."""
        if not health.retry and not health.arrived:
            return
        pods = [pod for pod in self._pods.get(key.name) if health.retry or key_of(pod) in health.arrived]
        for write in unready(pods, self.clock.now()):
            event = EventRecord(write.object, "Warning", "NodeNotReady", "Node is not ready")
            outcome = await self.writer.apply(key, Plan((write,), None, (event,)))
            outcome.failures = [(one, error) for one, error in outcome.failures if not isinstance(error, NotFound)]
            outcome.raise_first()
        health.retry = False
        health.arrived.clear()

    def _execute(self, node: Node, health: _Health) -> tuple[str | None, float | None]:
        """The key of the NoExecute taint to have now (None: as it is), and when to look again."""
        wanted = execute_key(node)
        if not readiness(node):
            return "" if health.new else None, None
        if not wanted or self._all_silent or has_taint(node, wanted, "NoExecute"):
            health.unfit_since = None
            return "" if not wanted or self._all_silent else wanted, None
        if has_taint(node, opposite(wanted), "NoExecute"):
            return wanted, None  # only exchanged for another reason
        zone = zone_of(node)
        rate = self._rate(zone)
        now = self.clock.monotonic()
        health.unfit_since = now if health.unfit_since is None else health.unfit_since
        if rate <= 0:
            return None, 10.0
        if (early := health.unfit_since + PASS_SECONDS - now) > 0.001:
            return None, early  # others may be found unfit with it, and their zone to be in disruption
        bucket = self._buckets.setdefault(zone, TokenBucket(rate, 1, now))
        return (wanted, None) if bucket.take(now, rate) else (None, 1.0 / rate)
