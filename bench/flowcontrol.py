"""What flow control costs a request that need not wait: CPU of entering and leaving, by who asks for what.

    python bench/flowcontrol.py
"""

from __future__ import annotations

import asyncio
import time

from sampan.apiserver.flowcontrol.controller import FlowControl
from sampan.apiserver.parse import parse
from sampan.apiserver.request import User
from sampan.apiserver.server import Settings
from sampan.testing.server import running_server

TIMES, ROUNDS = 50_000, 5
AUTHENTICATED = "system:authenticated"
WHO = (User("alice", groups=(AUTHENTICATED,)), User("system:node:n", groups=("system:nodes", AUTHENTICATED)),
       User("admin", groups=("system:masters", AUTHENTICATED)))
PODS = "/api/v1/namespaces/default/pods"
WHAT = (("get a pod", "GET", f"{PODS}/a"), ("list pods", "GET", PODS), ("create a pod", "POST", PODS), ("probe", "GET", "/readyz"))


def cost(flow: FlowControl, user: User, method: str, path: str) -> tuple[str, float]:
    """The level, and microseconds of CPU of the fastest round."""
    info = parse(method, path, {}, {})
    info.user = user
    first = flow.enter(info)
    assert first is not None
    flow.leave(first)
    found = []
    for _ in range(ROUNDS):
        began = time.process_time()
        for _ in range(TIMES):
            ticket = flow.enter(info)
            assert ticket is not None
            flow.leave(ticket)
        found.append((time.process_time() - began) / TIMES * 1e6)
    return first.level.name, min(found)


async def main() -> None:
    async with running_server(settings=Settings(bootstrap_rbac=False)) as server:
        flow = server.server.flow
        assert flow is not None
        for user in WHO:
            for name, method, path in WHAT:
                level, microseconds = cost(flow, user, method, path)
                print(f"{user.name:15} {name:13} {level:15} {microseconds:5.1f} µs")


asyncio.run(main())
