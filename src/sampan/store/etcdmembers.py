"""Which member of an etcd is asked: one connection each, the first in line that is connected gets every call.

A member that didn't answer in time, lost its connection or knows no leader goes to the end of the line, and stays there
as long as those before it do better. No clock decides, and nothing is asked of a member just to see how it does: a
member that hangs costs one attempt, once. (Asking them in turn costs that again and again, and where a failed write, a
question and a new watch are as many calls as there are members, the watch comes to the one that hangs every time.)
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from sampan.lib.grpctable import Table

POLL_SECONDS = 0.02
SERVICES = ("KV", "Lease", "Watch")


class Member:
    """One connection and the services behind it."""

    def __init__(self, channel: Any, table: Table) -> None:
        import grpc

        self.channel = channel
        self.services: Mapping[str, Any] = {name: table.service(f"etcdserverpb.{name}", channel) for name in SERVICES}
        self._ready = grpc.ChannelConnectivity.READY

    def connected(self) -> bool:
        """Whether there is a connection; where there is none, one is sought."""
        return bool(self.channel.get_state(try_to_connect=True) == self._ready)


class Members:
    """All of one etcd, the preferred one first."""

    def __init__(self, members: Sequence[Member]) -> None:
        self._line = list(members)

    def first(self) -> Member | None:
        """The one to ask; None: none is connected."""
        found = [member for member in self._line if member.connected()]
        return found[0] if found else None

    async def wait(self, seconds: float) -> Member | None:
        """The one to ask, as soon as one is connected; None: none was in that time."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while (found := self.first()) is None and loop.time() < deadline:  # noqa: ASYNC110 - see below
            # gRPC tells of changes one connection at a time, to a task for each: this is for a time without any
            await asyncio.sleep(POLL_SECONDS)
        return found

    def failed(self, member: Member) -> None:
        """Ask the others first from now on."""
        self._line.remove(member)
        self._line.append(member)

    async def close(self) -> None:
        """Close every connection."""
        for member in self._line:
            await member.channel.close()
