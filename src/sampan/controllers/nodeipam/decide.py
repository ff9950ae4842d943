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
        """Note that a range is in use, or no longer; one of another cluster range is none of ours."""
        network = ipaddress.ip_network(text, strict=False)
        if network.version != self.cluster.version or not network.subnet_of(self.cluster):  # type: ignore[arg-type]
            return
        index = (int(network.network_address) - int(self.cluster.network_address)) >> (self.cluster.max_prefixlen - self.mask)
        (self.taken.add if taken else self.taken.discard)(index)

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
    """Give a node without ranges one of each pool."""
    if node.spec.podCIDR or node.spec.podCIDRs:
        return Plan()
    given = [pool.take() for pool in from_pools]
    if None in given:
        for text, pool in zip(given, from_pools, strict=True):
            if text is not None:
                pool.mark(text, taken=False)
        event = EventRecord(node, "Normal", "CIDRNotAvailable", f"Node {node.metadata.name} status is now: CIDRNotAvailable")
        return Plan((), 60.0, (event,))
    return Plan((Patch(NODES, "", node.metadata.name, {"spec": {"podCIDR": given[0], "podCIDRs": given}}),))
