"""Addresses of simulated pods: given out one after the other, so that one comes back late."""

from __future__ import annotations

from ipaddress import ip_network
from socket import AF_INET, AF_INET6, inet_ntop

from sampan.node.runtimes.errors import RuntimeFault


class PodAddresses:
    """The addresses of one range but the network's, the bridge's and the broadcast address; may serve several runtimes."""

    def __init__(self, cidr: str) -> None:
        self._taken: set[str] = set()
        self.move(cidr)

    def move(self, cidr: str) -> None:
        """Give out addresses of another range from now on."""
        self._range = ip_network(cidr.partition(",")[0], strict=False)
        self._first, self._size, self._next = int(self._range.network_address), self._range.num_addresses, 2
        self._family, self._bytes = (AF_INET, 4) if self._range.version == 4 else (AF_INET6, 16)

    def take(self) -> str:
        """One that nobody has.

        Raises:
            RuntimeFault: All are taken.
        """
        for _ in range(self._size):
            if self._next >= self._size - 1:
                self._next = 2
            ip = inet_ntop(self._family, (self._first + self._next).to_bytes(self._bytes, "big"))
            self._next += 1
            if ip not in self._taken:
                self._taken.add(ip)
                return ip
        raise RuntimeFault(f"no free address in {self._range}")

    def give_back(self, ip: str) -> None:
        """Nobody has it any more."""
        self._taken.discard(ip)
