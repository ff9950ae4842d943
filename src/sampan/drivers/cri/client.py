"""Calls to a container runtime over its unix socket.

Owns: the channel, deadlines, translated errors. Leaves: what the calls mean (`sampan.node.runtimes.cri`), streams into
containers (`streaming`). `grpc` is imported when a client is made: 40 ms and 9 MB that simulated nodes do not pay.

Source: CRI `runtime.v1`, Kubernetes 1.36; `messages.json` holds names and numbers.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import cache
from typing import Any

from sampan.lib.errors import SampanError
from sampan.lib.grpctable import Table

MOST_MESSAGE_BYTES = 16 << 20
TIMEOUT_SECONDS = 120.0
CONNECT_MS = 5000
"""How long a socket that is there may take to answer; gRPC has it under the name of a back-off, but one that refuses is tried again sooner."""
PULL_SECONDS = 3600.0
IMAGES = frozenset({"ImageFsInfo", "ImageStatus", "ListImages", "PullImage", "RemoveImage"})


class CriError(SampanError):
    """A call failed. `code` is gRPC's word: NOT_FOUND, ALREADY_EXISTS, UNAVAILABLE, DEADLINE_EXCEEDED, UNKNOWN, …"""

    def __init__(self, method: str, code: str, details: str) -> None:
        self.method, self.code, self.details = method, code, details
        super().__init__(f"{method}: {details or code}")


@cache
def table() -> Table:
    """The CRI's messages."""
    return Table.load("sampan.drivers.cri")


class CriClient:
    """One runtime. Make it inside the loop that uses it; requests are keyword arguments, messages as dicts."""

    def __init__(self, endpoint: str) -> None:
        import grpc
        import grpc.aio

        self._rpc_error = grpc.aio.AioRpcError
        self.endpoint = endpoint if "://" in endpoint else f"unix://{endpoint}"
        self._channel = grpc.aio.insecure_channel(self.endpoint, options=[
            ("grpc.max_receive_message_length", MOST_MESSAGE_BYTES),
            ("grpc.max_send_message_length", MOST_MESSAGE_BYTES),
            ("grpc.initial_reconnect_backoff_ms", 50),
            ("grpc.min_reconnect_backoff_ms", CONNECT_MS),
            ("grpc.max_reconnect_backoff_ms", 500),
            ("grpc.enable_http_proxy", 0),
            # a channel's back-off is its own: another one to the same socket may have met it while it was away
            ("grpc.use_local_subchannel_pool", 1),
            ("grpc.default_authority", "localhost"),
        ])
        self._runtime = table().service("runtime.v1.RuntimeService", self._channel)
        self._images = table().service("runtime.v1.ImageService", self._channel)
        self._events = table().service("containerd.services.events.v1.Events", self._channel)

    async def call(self, method: str, *, timeout_seconds: float = TIMEOUT_SECONDS, **fields: Any) -> Any:
        """Call a method of either service, return its response message. Raises CriError."""
        service = self._images if method in IMAGES else self._runtime
        request = table().message(f"runtime.v1.{method}Request")(**fields)
        try:
            return await getattr(service, method)(request, timeout=timeout_seconds)
        except self._rpc_error as error:
            raise CriError(method, error.code().name, error.details() or "") from error

    async def container_events(self) -> AsyncIterator[Any]:
        """`ContainerEventResponse`s, from runtimes that have GetContainerEvents. Raises CriError at the end."""
        stream = self._runtime.GetContainerEvents(table().message("runtime.v1.GetEventsRequest")())
        async for event in self._read("GetContainerEvents", stream):
            yield event

    async def containerd_events(self, namespace: str = "k8s.io") -> AsyncIterator[tuple[str, Any]]:
        """Topic and message of containerd's own task events: for runtimes before 1.7. Raises CriError at the end."""
        request = table().message("containerd.services.events.v1.SubscribeRequest")(
            filters=[f'namespace=="{namespace}",topic~="^/(tasks|containers|sandboxes)/"'])
        async for envelope in self._read("Subscribe", self._events.Subscribe(request)):
            name = envelope.event.type_url.rpartition("/")[2]
            try:
                kind = table().message(name)
            except KeyError:
                continue
            yield envelope.topic, kind.FromString(envelope.event.value)

    async def _read(self, method: str, stream: Any) -> AsyncIterator[Any]:
        try:
            async for message in stream:
                yield message
        except self._rpc_error as error:
            raise CriError(method, error.code().name, error.details() or "") from error
        finally:
            stream.cancel()

    async def close(self) -> None:
        """Close the channel."""
        await self._channel.close()
