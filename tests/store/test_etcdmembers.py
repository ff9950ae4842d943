"""Who is asked: the first in line that is connected; who failed goes to the end."""

from __future__ import annotations

import asyncio

import grpc
import grpc.aio

from sampan.store.etcdclient import table
from sampan.store.etcdmembers import Member, Members


class Channel:
    """The part of gRPC's channel that is asked for its state; the calls are those of a real one."""

    def __init__(self, real: grpc.aio.Channel) -> None:
        self.state, self._real = grpc.ChannelConnectivity.READY, real
        for name in ("unary_unary", "stream_stream", "unary_stream", "stream_unary", "close"):
            setattr(self, name, getattr(real, name))

    def get_state(self, *, try_to_connect: bool) -> grpc.ChannelConnectivity:
        assert try_to_connect
        return self.state


def three() -> tuple[Members, list[Member]]:
    made = [Member(Channel(grpc.aio.insecure_channel("ipv4:127.0.0.1:1")), table()) for _ in range(3)]
    return Members(made), made


def test_the_first_is_asked_until_it_fails_and_then_comes_last() -> None:
    async def body() -> None:
        # given three that are connected
        members, (a, b, c) = three()
        assert [members.first() for _ in range(2)] == [a, a]
        # when the first fails, and then the second
        members.failed(a)
        members.failed(b)
        # then the third is asked, and the first again before the second
        assert members.first() is c
        members.failed(c)
        assert members.first() is a
        await members.close()

    asyncio.run(body())


def test_who_is_not_connected_is_passed_over_without_losing_its_place() -> None:
    async def body() -> None:
        # given a first one that has no connection
        members, (a, b, _) = three()
        a.channel.state = grpc.ChannelConnectivity.CONNECTING
        assert members.first() is b
        # when it is there again, it is asked
        a.channel.state = grpc.ChannelConnectivity.READY
        assert members.first() is a
        await members.close()

    asyncio.run(body())


def test_waiting_ends_with_the_first_connection_or_with_the_time() -> None:
    async def body() -> None:
        # given nobody who is connected
        members, made = three()
        for member in made:
            member.channel.state = grpc.ChannelConnectivity.TRANSIENT_FAILURE
        # then waiting ends without anybody
        assert await members.wait(0.0) is None
        # and with the one that connects meanwhile
        asyncio.get_running_loop().call_soon(setattr, made[2].channel, "state", grpc.ChannelConnectivity.READY)
        assert await members.wait(5.0) is made[2]
        await members.close()

    asyncio.run(body())
