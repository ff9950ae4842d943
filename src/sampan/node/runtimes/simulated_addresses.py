"""Addresses of simulated pods: given out one after the other, so that one comes back late."""

from __future__ import annotations

from ipaddress import ip_network

from sampan.node.runtimes.errors import RuntimeFault


class PodAddresses:
    """The addresses of one range but the network's, the bridge's and the broadcast address; may serve several runtimes."""

    def __init__(self, cidr: str) -> None:
        self._taken: set[str] = set()
        self.move(cidr)

    def move(self, cidr: str) -> None:
        """Give out addresses of another range from now on."""
        self._range, self._next = ip_network(cidr.partition(",")[0], strict=False), 2

    def take(self) -> str:
        """One that nobody has.

        Raises:
            RuntimeFault: All are taken.
        """
        size = self._range.num_addresses
        for _ in range(size):
            if self._next >= size - 1:
                self._next = 2
            ip = str(self._range[self._next])
            self._next += 1
            if ip not in self._taken:
                self._taken.add(ip)
                return ip
        raise RuntimeFault(f"no free address in {self._range}")

    def give_back(self, ip: str) -> None:
        """Nobody has it any more."""
        self._taken.discard(ip)
