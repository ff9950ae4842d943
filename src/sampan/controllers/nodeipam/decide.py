"""Which ranges of pod addresses a node gets. Pure. Source: kube-controller-manager `nodeipam/ipam/range_allocator.go`."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from sampan.api.core.v1 import Node
from sampan.api.resources import NODES
from sampan.kinds.plan import EventRecord, Patch, Plan

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass
class Pool:
    """One cluster range cut into ranges of `mask` bits. Knows what is taken, and where it looked last."""

    cluster: Network
    mask: int
    reserved: tuple[Network, ...] = ()
    taken: set[int] = field(default_factory=set)
    _next: int = 0

    @property
    def size(self) -> int:
        """How many ranges there are."""
        return int(2 ** max(0, self.mask - self.cluster.prefixlen))

    def take(self) -> str | None:
        """The next free range, round and round, so that one given back is not used again at once; None: all are taken."""
        for step in range(self.size):
            index = (self._next + step) % self.size
            if index not in self.taken and not any(self._network(index).overlaps(one) for one in self.reserved):
                self.taken.add(index)
                self._next = (index + 1) % self.size
                return str(self._network(index))
        return None

    def mark(self, text: str, *, taken: bool) -> None:
        """Note that a range is in use, or no longer, whatever its size; one of another cluster range is none of ours."""
        network = ipaddress.ip_network(text, strict=False)
        if network.version != self.cluster.version or not network.overlaps(self.cluster):
            return
        shift, start = self.cluster.max_prefixlen - self.mask, int(self.cluster.network_address)
        first = max(0, (int(network.network_address) - start) >> shift)
        last = min(self.size - 1, (int(network.broadcast_address) - start) >> shift)
        (self.taken.update if taken else self.taken.difference_update)(range(first, last + 1))

    def _network(self, index: int) -> Network:
        start = int(self.cluster.network_address) + (index << (self.cluster.max_prefixlen - self.mask))
        kind = ipaddress.IPv4Network if self.cluster.version == 4 else ipaddress.IPv6Network
        return kind((start, self.mask))


def pools(clusters: Collection[str], masks: tuple[int, int], reserved: Collection[str]) -> list[Pool]:
    """One pool for each cluster range; `masks`: of IPv4 and of IPv6."""
    nets = [ipaddress.ip_network(text) for text in clusters]
    kept = [ipaddress.ip_network(text) for text in reserved]
    return [Pool(net, masks[net.version == 6], tuple(one for one in kept if one.version == net.version)) for net in nets]


def decide(node: Node, from_pools: Sequence[Pool]) -> Plan:
    """Give a node without ranges one of each pool, unless it is on its way out."""
    if node.spec.podCIDR or node.spec.podCIDRs or node.metadata.deletionTimestamp is not None:
        return Plan()
    given = [pool.take() for pool in from_pools]
    if None in given:
        for text, pool in zip(given, from_pools, strict=True):
            if text is not None:
                pool.mark(text, taken=False)
        return Plan((), 60.0, (told(node, "CIDRNotAvailable"),))
    return give(node, [text for text in given if text is not None])


def give(node: Node, ranges: Sequence[str]) -> Plan:
    """Give a node these ranges."""
    return Plan((Patch(NODES, "", node.metadata.name, {"spec": {"podCIDR": ranges[0], "podCIDRs": list(ranges)}}),))


def told(node: Node, what: str) -> EventRecord:
    """The event that says what became of a node's ranges."""
    return EventRecord(node, "Normal", what, f"Node {node.metadata.name} status is now: {what}")
