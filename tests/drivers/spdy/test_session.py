"""Sessions: streams over a transport, with back-pressure and an end."""

from __future__ import annotations

import asyncio

from sampan.aio.tasks import Tasks
from sampan.drivers.spdy.session import BUFFER_BYTES, Session, SocketTransport, Stream
from sampan.testing import waiting
from sampan.testing.waiting import PATIENCE_SECONDS


class Line:
    """One direction of a transport in memory, which holds a little."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[bytes] = asyncio.Queue(maxsize=4)


class End:
    """A transport of two lines."""

    def __init__(self, incoming: Line, outgoing: Line) -> None:
        self._in, self._out = incoming, outgoing
        self.closed = False

    async def read(self) -> bytes:
        return await self._in.queue.get()

    async def write(self, data: bytes) -> None:
        await self._out.queue.put(data)

    async def close(self) -> None:
        if not self.closed:
            self.closed = True
            while self._out.queue.full():
                self._out.queue.get_nowait()
            self._out.queue.put_nowait(b"")


def ends() -> tuple[End, End]:
    one, two = Line(), Line()
    return End(one, two), End(two, one)


async def echo(stream: Stream) -> None:
    while data := await stream.read():
        await stream.write(data)
    await stream.close_write()


def test_streams_echo_side_by_side() -> None:
    async def body() -> None:
        left, right = ends()
        client, server = Session(left, client=True), Session(right, client=False, on_open=echo)
        streams = [await client.open({"n": str(number)}) for number in range(5)]
        for number, stream in enumerate(streams):
            await stream.write(b"%d" % number)
            await stream.close_write()
        for number, stream in enumerate(streams):
            assert await stream.read() == b"%d" % number
            assert await stream.read() == b""
        await client.close()
        await server.close()
    waiting.run(body())


def test_a_reader_that_stops_holds_the_sender_back() -> None:
    async def body() -> None:
        left, right = ends()
        opened: list[Stream] = []

        async def keep(stream: Stream) -> None:
            opened.append(stream)
        client, server = Session(left, client=True), Session(right, client=False, on_open=keep)
        stream = await client.open({})
        # when far more is sent than anybody reads
        chunk, sent = b"x" * (1 << 16), 0
        async with Tasks() as tasks:
            while sent < 64 * BUFFER_BYTES:
                writing = tasks.start(stream.write(chunk), "write")
                for _ in range(1000):  # turns of the loop that both ends live on: nothing else could let it go on
                    await asyncio.sleep(0)
                if not writing.done():
                    break
                sent += len(chunk)
        # then it stopped within the buffer and what the line holds
        assert sent < 3 * BUFFER_BYTES
        assert opened[0].buffered_bytes <= 2 * BUFFER_BYTES
        # and goes on when somebody reads
        got = 0
        while got < sent:
            got += len(await asyncio.wait_for(opened[0].read(), PATIENCE_SECONDS))
        await client.close()
        await server.close()
    waiting.run(body())


def test_the_end_of_the_transport_is_the_end_of_every_stream() -> None:
    async def body() -> None:
        left, right = ends()
        client, server = Session(left, client=True), Session(right, client=False, on_open=echo)
        stream = await client.open({})
        reading = asyncio.gather(stream.read())
        await server.close()
        assert list(await reading) == [b""]
        await client.closed.wait()
        await stream.write(b"nobody hears this")
        await client.close()
        await client.close()
    waiting.run(body())


def test_data_and_reset_in_one_packet_are_both_seen() -> None:
    async def body() -> None:
        left, right = ends()

        async def last_words(stream: Stream) -> None:
            server._spdy.send(1, b"status")
            await stream.reset()
        client = Session(left, client=True)
        server = Session(right, client=False, on_open=last_words)
        stream = await client.open({}, fin=True)
        assert await stream.read() == b"status"
        assert await stream.read() == b""
        await client.close()
        await server.close()
    waiting.run(body())


def test_a_peer_that_does_not_speak_spdy_ends_the_session() -> None:
    async def body() -> None:
        left, right = ends()
        client = Session(left, client=True)
        stream = await client.open({})
        await right.write(b"\x80\x02\x00\x01\x00\x00\x00\x00")
        assert await stream.read() == b""
        await client.close()
    waiting.run(body())


def test_it_runs_on_a_socket() -> None:
    async def body() -> None:
        sessions: list[Session] = []

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            sessions.append(Session(SocketTransport(reader, writer), client=False, on_open=echo))
            await sessions[-1].closed.wait()
            await sessions[-1].close()
        listener = await asyncio.start_server(serve, "127.0.0.1", 0)
        host, port = listener.sockets[0].getsockname()
        client = Session(SocketTransport(*await asyncio.open_connection(host, port)), client=True)
        stream = await client.open({})
        await stream.write(b"hello")
        assert await stream.read() == b"hello"
        await client.close()
        await sessions[0].closed.wait()
        listener.close()
    waiting.run(body())
