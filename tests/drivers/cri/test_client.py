"""Calls over a unix socket, against a server that answers by the same table."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from sampan.drivers.cri.client import CriClient, CriError, table


class Answers(grpc.GenericRpcHandler):  # type: ignore[misc]
    """A runtime that knows one container."""

    def service(self, details: Any) -> Any:
        method = details.method.rpartition("/")[2]
        if method == "Subscribe":
            kind = table().message("containerd.services.events.v1.SubscribeRequest")
            return grpc.unary_stream_rpc_method_handler(self.subscribe, kind.FromString, lambda out: out.SerializeToString())
        if method not in ("Version", "ContainerStatus"):
            return None
        kind = table().message(f"runtime.v1.{method}Request")
        return grpc.unary_unary_rpc_method_handler(getattr(self, method), kind.FromString, lambda out: out.SerializeToString())

    async def Version(self, _request: Any, _context: Any) -> Any:  # noqa: N802 - the method's name
        return table().message("runtime.v1.VersionResponse")(runtime_name="fake", runtime_version="v9")

    async def ContainerStatus(self, request: Any, context: Any) -> Any:  # noqa: N802 - the method's name
        await context.abort(grpc.StatusCode.NOT_FOUND, f"no container {request.container_id}")

    async def subscribe(self, request: Any, _context: Any) -> AsyncIterator[Any]:
        assert request.filters[0].startswith('namespace=="k8s.io"')
        for topic, name in (("/tasks/exit", "containerd.events.TaskExit"), ("/x", "unknown.Kind")):
            envelope = table().message("containerd.types.Envelope")(topic=topic)
            envelope.event.type_url = name
            if topic == "/tasks/exit":
                envelope.event.value = table().message(name)(container_id="c", id="c", exit_status=3).SerializeToString()
            yield envelope


@asynccontextmanager
async def runtime(folder: Path) -> AsyncIterator[CriClient]:
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((Answers(),))
    server.add_insecure_port(f"unix://{folder}/r.sock")
    await server.start()
    client = CriClient(f"{folder}/r.sock")
    yield client
    await client.close()
    await server.stop(None)


def test_a_call_is_answered_and_a_refusal_keeps_its_code_and_words(tmp_path: Path) -> None:
    async def body() -> None:
        async with runtime(tmp_path) as client:
            assert (await client.call("Version")).runtime_version == "v9"
            with pytest.raises(CriError, match="no container x") as caught:
                await client.call("ContainerStatus", container_id="x")
            assert (caught.value.code, caught.value.method) == ("NOT_FOUND", "ContainerStatus")
            with pytest.raises(CriError) as caught:
                await client.call("ListImages")
            assert caught.value.code == "UNIMPLEMENTED"
    asyncio.run(body())


def test_containerds_events_are_decoded_and_unknown_ones_passed_over(tmp_path: Path) -> None:
    async def body() -> None:
        async with runtime(tmp_path) as client:
            events = [(topic, event.container_id, event.exit_status) async for topic, event in client.containerd_events()]
            assert events == [("/tasks/exit", "c", 3)]
    asyncio.run(body())


def test_a_field_that_is_none_is_a_mistake_of_ours(tmp_path: Path) -> None:
    async def body() -> None:
        async with runtime(tmp_path) as client:
            with pytest.raises(ValueError, match="contaner_id"):
                await client.call("ContainerStatus", contaner_id="x")
    asyncio.run(body())


def test_nobody_there_is_unavailable(tmp_path: Path) -> None:
    async def body() -> None:
        client = CriClient(f"unix://{tmp_path}/none.sock")
        with pytest.raises(CriError) as caught:
            await client.call("Version", timeout_seconds=5)
        assert caught.value.code == "UNAVAILABLE"
        await client.close()
    asyncio.run(body())
