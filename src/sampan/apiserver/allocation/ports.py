"""Node ports: which are taken, told from the services that are stored and the writes under way.

Source: kubernetes `pkg/registry/core/service/portallocator`.
"""

from __future__ import annotations

from sampan.api.resources import SERVICES
from sampan.apiserver.allocation.addresses import Unavailable, static_band
from sampan.apiserver.hooks import Claim
from sampan.apiserver.watchcache import Readers
from sampan.lib.clock import Identity

TRIES = 64


class Ports:
    """Hands out node ports."""

    def __init__(self, readers: Readers, identity: Identity, first: int, last: int) -> None:
        self._services, self._identity = readers.of(SERVICES), identity
        self._first, self._last = first, last
        self._pending: set[int] = set()
        self._known: frozenset[int] = frozenset()
        self._generation = -1

    def _taken(self) -> frozenset[int]:
        if self._generation != self._services.generation:
            generation = self._services.generation
            self._known = frozenset(port for entry in self._services.entries() for port in ports_of(entry.object))
            self._generation = generation
        return self._known

    def claim(self, port: int, claim: Claim) -> None:
        """Claim a named port.

        Raises:
            Unavailable: It is outside the range, or a service has it.
        """
        if not self._first <= port <= self._last:
            raise Unavailable(f"provided port is not in the valid range. The range of valid ports is {self._first}-{self._last}")
        if port in self._pending or port in self._taken():
            raise Unavailable("provided port is already allocated")
        self._take(port, claim)

    def next(self, claim: Claim) -> int:
        """Claim any free port.

        Raises:
            Unavailable: There is none.
        """
        taken = self._taken()
        low = self._first + min(static_band(self._last - self._first + 1), 128)
        for _ in range(TRIES):
            port: int = self._identity.rng.randint(low, self._last)
            if port not in taken and port not in self._pending:
                self._take(port, claim)
                return port
        for port in (*range(low, self._last + 1), *range(self._first, low)):
            if port not in taken and port not in self._pending:
                self._take(port, claim)
                return port
        raise Unavailable("range is full")

    def _take(self, port: int, claim: Claim) -> None:
        self._pending.add(port)
        claim.undo.append(lambda: self._pending.discard(port))


def ports_of(service: object) -> set[int]:
    """Every node port that a service has."""
    spec = service.spec  # type: ignore[attr-defined]
    found = {port.nodePort for port in spec.ports if port.nodePort}
    if spec.healthCheckNodePort:
        found.add(spec.healthCheckNodePort)
    return found
