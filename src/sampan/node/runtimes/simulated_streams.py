"""Streams into simulated containers: sessions and forwarded connections made of pipes. What is told of them: a queue of events."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Awaitable, Callable

from sampan.aio.tasks import Tasks
from sampan.node.runtimes.base import ByteStream, Channel, Frame
from sampan.node.runtimes.programs import Connection, Handler, Pipe, Process
from sampan.node.runtimes.status import EventKind, RuntimeEvent

QUEUED_FRAMES = 64
QUEUED_EVENTS = 256
RELIST = RuntimeEvent(EventKind.RELIST)


class EventQueue:
    """The events that wait for one who follows them; where they are too many, one tells to list everything again."""

    def __init__(self) -> None:
        self._events: deque[RuntimeEvent] = deque()
        self._news = asyncio.Event()

    def put(self, event: RuntimeEvent) -> None:
        if len(self._events) >= QUEUED_EVENTS:
            self._events.clear()
            event = RELIST
        self._events.append(event)
        if len(self._events) == 1:
            self._news.set()

    async def get(self) -> RuntimeEvent:
        while not self._events:
            self._news.clear()
            await self._news.wait()
        return self._events.popleft()


def pipe_for(wanted: bool) -> Pipe | None:
    """A pipe for stdin, where there is one."""
    return Pipe() if wanted else None


def exit_status(code: int) -> bytes:
    """The `Status` that ends a session, as upstream's v4 protocol has it."""
    if code == 0:
        return json.dumps({"metadata": {}, "status": "Success"}).encode()
    return json.dumps({
        "metadata": {}, "status": "Failure", "reason": "NonZeroExitCode",
        "message": f"command terminated with non-zero exit code: exit status {code}",
        "details": {"causes": [{"reason": "ExitCode", "message": str(code)}]},
    }).encode()


class MemorySession:
    """A `StreamSession` on a coroutine."""

    def __init__(self, stdin: Pipe | None, *, stdout: bool, stderr: bool, tty: bool) -> None:
        self.stdin, self._tty = stdin, tty
        self._wanted = {Channel.STDOUT: stdout, Channel.STDERR: stderr and not tty}
        self._frames: asyncio.Queue[Frame] = asyncio.Queue(maxsize=QUEUED_FRAMES)
        self._done = asyncio.Event()
        self._code = 0
        self._told = self._closed = False
        self._tasks = Tasks()
        self.process: Process | None = None

    async def emit(self, data: bytes, error: bool) -> None:
        """Output of the process."""
        channel = Channel.STDERR if error and not self._tty else Channel.STDOUT
        if self._wanted[channel] and not self._closed and data:
            await self._frames.put(Frame(channel, data))

    @property
    def closed(self) -> bool:
        """Whether the caller has let go of it."""
        return self._closed

    def run(self, work: Callable[[], Awaitable[int]]) -> None:
        """The session ends when this does."""
        async def until_done() -> None:
            code = 1
            try:
                code = await work()
            finally:
                self.finish(code)
        self._tasks.start(until_done(), "exec", keep_going=True)

    def finish(self, code: int) -> None:
        """The command has ended."""
        self._code = code
        self._done.set()

    async def receive(self) -> Frame | None:
        if self._told or self._closed:
            return None
        if self._frames.empty() and not self._done.is_set():
            async with Tasks() as tasks:
                got: asyncio.Task[Frame] = tasks.start(self._frames.get(), "frame")
                await asyncio.wait((got, tasks.start(self._done.wait(), "end")), return_when=asyncio.FIRST_COMPLETED)
                if got.done():
                    return got.result()
        if not self._frames.empty():
            return self._frames.get_nowait()
        self._told = True
        return Frame(Channel.ERROR, exit_status(self._code))

    async def send(self, data: bytes) -> None:
        if self.stdin is not None and not self._done.is_set():
            await self.stdin.write(data)

    async def close_stdin(self) -> None:
        if self.stdin is not None:
            await self.stdin.close()

    async def resize(self, width: int, height: int) -> None:
        if self.process is not None:
            self.process.size = (width, height)

    async def close(self) -> None:
        self._closed = True
        self._done.set()
        while not self._frames.empty():
            self._frames.get_nowait()
        await self._tasks.stop()


class MemoryForward:
    """A `PortForwardSession` to whatever listens in a sandbox."""

    def __init__(self, find: Callable[[int], Handler | None], tasks: Tasks) -> None:
        self._find, self._tasks = find, tasks
        self._open: list[_Forwarded] = []

    async def open(self, port: int) -> ByteStream:
        handler = self._find(port)
        connection = Connection()
        made = _Forwarded(connection, "" if handler else
                          f"failed to connect to localhost:{port} inside the pod: connection refused")
        self._open.append(made)
        if handler is None:
            await connection.close()
        else:
            self._tasks.start(self._serve(handler, connection), "forwarded connection", keep_going=True)
        return made

    async def _serve(self, handler: Handler, connection: Connection) -> None:
        try:
            await handler(connection)
        finally:
            await connection.close()

    async def close(self) -> None:
        for stream in self._open:
            await stream.close()


class _Forwarded:
    def __init__(self, connection: Connection, complaint: str) -> None:
        self._connection, self._complaint = connection, complaint

    async def read(self) -> bytes:
        return await self._connection.outgoing.read()

    async def write(self, data: bytes) -> None:
        await self._connection.incoming.write(data)

    async def close_write(self) -> None:
        await self._connection.incoming.close()

    async def error(self) -> str:
        return self._complaint

    async def close(self) -> None:
        await self._connection.close()
