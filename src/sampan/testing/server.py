"""An API server inside a test: real, in memory, without sockets, ready in milliseconds.

    async with running_server() as server:
        await server.client.create(PODS, pod, "default")

The clock is the system's unless a `VirtualClock` is given; identity is seeded, so names and uids repeat.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from sampan.aio.clock import AsyncClock, SystemClock
from sampan.aio.tasks import Tasks
from sampan.apiserver.asgi import App
from sampan.apiserver.request import ADMIN, User
from sampan.apiserver.server import ApiServer, Settings
from sampan.client.inprocess import InProcessClient
from sampan.lib.clock import Identity
from sampan.store.base import Store
from sampan.store.memory import MemoryStore


@dataclass
class RunningServer:
    """What a test gets."""

    server: ApiServer
    store: Store
    clock: AsyncClock
    identity: Identity
    client: InProcessClient

    @property
    def app(self) -> App:
        """The ASGI application."""
        return self.server.app

    def client_as(self, user: User) -> InProcessClient:
        """A client whose requests are trusted to be `user`'s (authorization is not asked; see `client_with`)."""
        return InProcessClient(self.server.app, user)

    def client_with(self, **headers: str) -> InProcessClient:
        """A client that authenticates as a remote one would: `client_with(authorization="Bearer …")`."""
        return InProcessClient(self.server.app, None, headers={key.replace("_", "-"): value for key, value in headers.items()})


LEAN = Settings(bootstrap_rbac=False, bootstrap_full=False, disabled_admission=frozenset(("ServiceAccount",)))
"""Namespaces and the `kubernetes` Service only, pods without service accounts: what most component tests need."""


@asynccontextmanager
async def running_server(*, clock: AsyncClock | None = None, store: Store | None = None, settings: Settings = LEAN,
                         seed: int = 1, user: User = ADMIN) -> AsyncIterator[RunningServer]:
    """A server that is ready, stopped at the end; a store that was given stays open."""
    clock = clock or SystemClock()
    identity = Identity(random.Random(seed))
    own = MemoryStore(clock) if store is None else store
    server = ApiServer(own, clock, identity, settings)
    async with Tasks() as tasks:
        await server.start()
        tasks.start(server.run(), "api server")
        try:
            yield RunningServer(server, own, clock, identity, InProcessClient(server.app, user))
        finally:
            await server.stop()
    if store is None:
        await own.close()
