"""Uses of tokens that stand in Secrets, noted on a server."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Awaitable, Callable

from sampan.aio.clock import VirtualClock
from sampan.api.core.v1 import Secret, ServiceAccount
from sampan.api.meta.v1 import ObjectMeta
from sampan.api.resources import CONFIG_MAPS, SECRETS, SERVICE_ACCOUNTS
from sampan.apiserver.server import Settings
from sampan.client.inprocess import InProcessClient
from sampan.testing.server import RunningServer, running_server

LAST_USED, INVALID_SINCE = "kubernetes.io/legacy-token-last-used", "kubernetes.io/legacy-token-invalid-since"
NAME = "kube-apiserver-legacy-service-account-token-tracking"


class World:
    def __init__(self, server: RunningServer, clock: VirtualClock) -> None:
        self.server, self.clock, self.token = server, clock, ""

    async def begin(self) -> None:
        made = await self.server.client.create(SERVICE_ACCOUNTS, ServiceAccount(metadata=ObjectMeta(name="robot", namespace="default")))
        part = "kubernetes.io/serviceaccount/"
        self.token = self.server.server.issuer.signer.sign({
            "iss": "kubernetes/serviceaccount", "sub": "system:serviceaccount:default:robot", f"{part}namespace": "default",
            f"{part}secret.name": "s", f"{part}service-account.name": "robot", f"{part}service-account.uid": made.metadata.uid})
        await self.server.client.create(SECRETS, Secret(metadata=ObjectMeta(name="s", namespace="default"), data={"token": self.token.encode()}))

    async def use(self) -> bool:
        """Whether the server knows whose token it is."""
        client = InProcessClient(self.server.server.app, None, headers={"authorization": f"Bearer {self.token}"})
        answer = await client.raw("GET", "/version")
        await self.clock.turns(50)
        return answer.code != 401

    async def labels(self) -> dict[str, str]:
        return dict((await self.server.client.get(SECRETS, "s", "default")).metadata.labels)


def play(scenario: Callable[[World], Awaitable[None]]) -> None:
    async def main() -> None:
        clock = VirtualClock()
        async with running_server(clock=clock, settings=Settings(bootstrap_rbac=False)) as server:
            world = World(server, clock)
            await world.begin()
            await scenario(world)

    asyncio.run(main())


def test_the_server_says_since_when_uses_are_noted() -> None:
    async def scenario(w: World) -> None:
        assert (await w.server.client.get(CONFIG_MAPS, NAME, "kube-system")).data == {"since": "2026-01-01"}

    play(scenario)


def test_a_use_is_a_label_of_the_day() -> None:
    async def scenario(w: World) -> None:
        assert await w.labels() == {}
        assert await w.use()
        assert await w.labels() == {LAST_USED: "2026-01-01"}
        before = (await w.server.client.get(SECRETS, "s", "default")).metadata.resourceVersion
        assert await w.use()
        assert (await w.server.client.get(SECRETS, "s", "default")).metadata.resourceVersion == before  # once a day is enough

    play(scenario)


def test_a_token_that_was_marked_invalid_is_refused_but_its_use_is_noted() -> None:
    async def scenario(w: World) -> None:
        await w.server.client.patch(SECRETS, "s", "default", {"metadata": {"labels": {INVALID_SINCE: "2025-12-31"}}})
        assert not await w.use()
        assert (await w.labels())[LAST_USED] == "2026-01-01"
        await w.server.client.patch(SECRETS, "s", "default", {"metadata": {"labels": {INVALID_SINCE: None}}})
        assert await w.use()

    play(scenario)


def test_another_token_leaves_no_trace() -> None:
    async def scenario(w: World) -> None:
        head, body, _ = w.token.split(".")
        w.token = f"{head}.{body}.{base64.urlsafe_b64encode(b'x' * 64).decode().rstrip('=')}"
        assert not await w.use()
        assert await w.labels() == {}

    play(scenario)
