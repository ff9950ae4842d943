"""Bad weather for one process: calls that fail before or after they took effect, watches that end, events that come late."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from sampan.aio.clock import AsyncClock
from sampan.api import codec
from sampan.api.errors import ApiError, Conflict, InternalError, ServiceUnavailable, Timeout, TooManyRequests
from sampan.client.base import Answer

CALLS = 0.2  # of the calls fail
AFTERWARDS = 0.3  # of those that fail have taken effect
CUT = 0.02  # of a watch's events are its last
LATE = 0.2  # of a watch's events come late
LATE_SECONDS = 3.0
CRASH = 0.001  # of the calls are the last of their process
UNANSWERED = (Timeout, ServiceUnavailable, InternalError)
REFUSED = (*UNANSWERED, TooManyRequests)
WRITES = ("create", "update", "patch", "delete")


@dataclass
class Weather:
    """What all processes of a world share. `bad` is switched off for the end."""

    rng: random.Random
    clock: AsyncClock
    bad: bool = False
    counts: dict[str, int] = field(default_factory=dict)

    def strikes(self, share: float, what: str) -> bool:
        """Whether this happens now; counted."""
        if not self.bad or self.rng.random() >= share:
            return False
        self.counts[what] = self.counts.get(what, 0) + 1
        return True


class Unreliable:
    """A client in bad weather.

    `crash()` ends the process that it belongs to (without it none crashes); `metrics(path)` answers the metrics APIs (without it the server does).
    """

    def __init__(self, client: Any, weather: Weather, crash: Callable[[], None] | None = None,
                 metrics: Callable[[str], Awaitable[Any]] | None = None) -> None:
        self._client, self._weather, self._crash, self._metrics = client, weather, crash, metrics

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)
        if name not in (*WRITES, "get", "list", "delete_all"):
            return method

        async def call(*args: Any, **more: Any) -> Any:
            return await self._call(name, lambda: method(*args, **more))

        return call

    async def raw(self, method: str, path: str, **more: Any) -> Answer:
        """Metrics come from the script."""
        if self._metrics is not None and path.startswith("/apis/metrics.k8s.io/"):
            return Answer(200, {"content-type": "application/json"}, codec.encode(await self._metrics(path)))
        answer: Answer = await self._call("get", lambda: self._client.raw(method, path, **more))
        return answer

    async def _call(self, name: str, work: Callable[[], Any]) -> Any:
        weather = self._weather
        if self._crash is not None and weather.strikes(CRASH, "crash before a call"):
            await self._die(self._crash)
        if not weather.strikes(CALLS, "failed call"):
            answer = await work()
            if self._crash is not None and name in WRITES and weather.strikes(CRASH, "crash after a call"):
                await self._die(self._crash)
            return answer
        if name in WRITES and weather.strikes(AFTERWARDS, "lost answer"):
            try:
                await work()
            except ApiError:
                weather.counts["lost error"] = weather.counts.get("lost error", 0) + 1
            raise weather.rng.choice(UNANSWERED)("the answer was lost")
        errors = (*REFUSED, Conflict) if name in ("update", "patch") else REFUSED
        raise weather.rng.choice(errors)("bad weather")

    @staticmethod
    async def _die(crash: Callable[[], None]) -> None:
        crash()
        await asyncio.Event().wait()

    async def watch(self, *args: Any, **more: Any) -> AsyncIterator[Any]:
        weather = self._weather
        if weather.strikes(CALLS, "failed watch"):
            raise weather.rng.choice(REFUSED)("bad weather")
        stream = self._client.watch(*args, **more)
        try:
            async for event in stream:
                if weather.strikes(LATE, "late event"):
                    await weather.clock.sleep(weather.rng.uniform(0.0, LATE_SECONDS))
                if weather.strikes(CUT, "cut watch"):
                    return
                yield event
        finally:
            await stream.aclose()
