"""Node ports: which are taken, told from the services that are stored and the writes under way.

On a store that several servers share each port has a key of its own besides, written in one transaction with the Service
that has it: two servers that choose the same one at once can't both write it.

Source: kubernetes `pkg/registry/core/service/portallocator`.
"""

from __future__ import annotations

from collections.abc import Callable

from sampan.api.errors import ApiError, InternalError
from sampan.api.resources import SERVICES
from sampan.apiserver.allocation.addresses import Unavailable, static_band
from sampan.apiserver.hooks import Claim
from sampan.apiserver.watchcache import Readers
from sampan.lib.clock import Identity
from sampan.store.base import Delete, Put

PREFIX = "/registry/sampan.io/nodeports/"
ALLOCATED = "provided port is already allocated"
TRIES = 64


class Ports:
    """Hands out node ports."""

    def __init__(self, readers: Readers, identity: Identity, first: int, last: int, *, shared: bool = False) -> None:
        self._shared = shared
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

    def claim(self, port: int, claim: Claim, taken: Callable[[str], ApiError]) -> None:
        """Claim a named port; `taken` makes the error for when another server has it after all.

        Raises:
            Unavailable: It is outside the range, or a service has it.
        """
        if not self._first <= port <= self._last:
            raise Unavailable(f"provided port is not in the valid range. The range of valid ports is {self._first}-{self._last}")
        if port in self._pending or port in self._taken():
            raise Unavailable(ALLOCATED)
        self._take(port, claim, taken(ALLOCATED))

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
                return self._take(port, claim, _again(port))
        for port in (*range(low, self._last + 1), *range(self._first, low)):
            if port not in taken and port not in self._pending:
                return self._take(port, claim, _again(port))
        raise Unavailable("range is full")

    def _take(self, port: int, claim: Claim, taken: ApiError) -> int:
        self._pending.add(port)
        claim.undo.append(lambda: self._pending.discard(port))
        if self._shared:
            claim.within.append((Put(key_of_port(port), b"{}"), taken))
        return port

    def release(self, port: int, claim: Claim) -> None:
        """Let a port go with the write."""
        if self._shared:
            claim.after.append(Delete(key_of_port(port)))


def _again(port: int) -> ApiError:
    return InternalError(f"failed to allocate a nodePort: {port} was taken by another server; try again")


def key_of_port(port: int) -> str:
    """Where a port is noted."""
    return f"{PREFIX}{port}"


def ports_of(service: object) -> set[int]:
    """Every node port that a service has."""
    spec = service.spec  # type: ignore[attr-defined]
    found = {port.nodePort for port in spec.ports if port.nodePort}
    if spec.healthCheckNodePort:
        found.add(spec.healthCheckNodePort)
    return found
