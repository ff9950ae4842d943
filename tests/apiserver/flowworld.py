"""A server under flow control, and users who ask it as remote clients do, for the tests of `flowcontrol`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from sampan.aio.clock import VirtualClock
from sampan.aio.tasks import Tasks
from sampan.api import codec
from sampan.apiserver.flowcontrol.controller import FlowControl
from sampan.apiserver.flowcontrol.inflight import FlowSettings
from sampan.apiserver.request import ADMIN, User
from sampan.apiserver.server import Settings
from sampan.testing.server import RunningServer, running_server
from sampan.testing.waiting import PATIENCE_SECONDS

GROUP = "/apis/flowcontrol.apiserver.k8s.io/v1"
USERS = {name: User(name, groups=("system:authenticated",)) for name in ("noisy", "quiet", "boss")} | {"admin": ADMIN}
MAPS = "/api/v1/namespaces/default/configmaps"

Answer = tuple[int, Any, dict[str, str]]
Message = MutableMapping[str, Any]


class World:
    """What a test gets. Requests that `slow` starts send their bodies when `let_go` is set: they are worked on until then."""

    def __init__(self, server: RunningServer, clock: VirtualClock, tasks: Tasks) -> None:
        self.server, self.clock, self._tasks = server, clock, tasks
        self.let_go = asyncio.Event()

    @property
    def flow(self) -> FlowControl:
        assert self.server.server.flow is not None
        return self.server.server.flow

    async def ask(self, user: str, method: str, target: str, body: Any = None, *, gate: asyncio.Event | None = None,
                  headers: Mapping[str, str] | None = None) -> Answer:
        """One request with the user's token; its body comes when the gate opens."""
        path, _, query = target.partition("?")
        own = {"authorization": f"Bearer {user}", "content-type": "application/json", **(headers or {})}
        scope: Message = {"type": "http", "method": method, "path": path, "query_string": query.encode(),
                          "headers": [(name.encode(), text.encode()) for name, text in own.items()]}
        sent: list[Message] = []

        async def receive() -> Message:
            if gate is not None:
                await gate.wait()
            return {"type": "http.request", "body": b"" if body is None else codec.encode(body), "more_body": False}

        async def send(message: Message) -> None:
            sent.append(message)

        await self.server.app(scope, receive, send)
        found = {name.decode(): text.decode() for name, text in sent[0]["headers"]}
        raw = b"".join(message.get("body", b"") for message in sent[1:])
        try:
            value = codec.loads(raw)
        except codec.DecodeError:
            value = raw.decode()
        return sent[0]["status"], value, found

    async def must(self, method: str, path: str, body: Any = None, *, kind: str = "application/json") -> Any:
        code, value, _ = await self.ask("admin", method, path, body, headers={"content-type": kind})
        assert code < 300, value
        return value

    def slow(self, user: str, name: str, more: Mapping[str, str] | None = None) -> asyncio.Task[Answer]:
        """A creation that is worked on until `let_go`."""
        body = {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": name}}
        return self._tasks.start(self.ask(user, "POST", MAPS, body, gate=self.let_go, headers=more), name, keep_going=True)

    async def everybody_may_do_everything(self) -> None:
        rbac = "/apis/rbac.authorization.k8s.io/v1"
        everything = {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}
        await self.must("POST", f"{rbac}/clusterroles", {"metadata": {"name": "all"}, "rules": [everything]})
        await self.must("POST", f"{rbac}/clusterrolebindings", {
            "metadata": {"name": "all"}, "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "all"},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "system:authenticated"}]})

    async def level(self, response: Any, *, shares: int = 5, by: str = "ByUser") -> None:
        """A level for everybody who is no administrator. With five shares of two hundred and fifty it has twelve seats of 600."""
        await self.must("POST", f"{GROUP}/prioritylevelconfigurations", {"metadata": {"name": "mine"}, "spec": {"type": "Limited", "limited": {
            "nominalConcurrencyShares": shares, "limitResponse": response, "lendablePercent": 0, "borrowingLimitPercent": 0}}})
        await self.must("POST", f"{GROUP}/flowschemas", {"metadata": {"name": "mine"}, "spec": {
            "priorityLevelConfiguration": {"name": "mine"}, "matchingPrecedence": 10, "distinguisherMethod": {"type": by},
            "rules": [{"subjects": [{"kind": "Group", "group": {"name": "system:authenticated"}}], "resourceRules": [
                {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "namespaces": ["*"], "clusterScope": True}]}]}})


def queues(number: int = 16, hand: int = 2, length: int = 5) -> dict[str, Any]:
    return {"type": "Queue", "queuing": {"queues": number, "handSize": hand, "queueLengthLimit": length}}


def with_world(test: Callable[[World], Awaitable[None]], *, flow: FlowSettings = FlowSettings(), full: bool = True) -> None:
    """Run a test against a server of its own in which everybody may do everything, within a deadline."""
    settings = Settings(bootstrap_rbac=False, bootstrap_full=full, users=USERS, flow=flow)

    async def whole() -> None:
        clock = VirtualClock()
        async with asyncio.timeout(PATIENCE_SECONDS), running_server(clock=clock, settings=settings) as server, Tasks() as tasks:
            world = World(server, clock, tasks)
            await world.everybody_may_do_everything()
            await test(world)

    asyncio.run(whole())
