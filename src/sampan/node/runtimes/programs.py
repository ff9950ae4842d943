"""What simulated containers run: declared behaviour, Python coroutines, and a handful of built-in commands.

Owns: `Program` (what an image does), `Process` (what a coroutine sees of its container), pipes. Leaves: containers' states
(`simulated`).

A test says `Program(main=worker)` with `async def worker(process): ...; return 0`, or `Program(exit_after_seconds=5)`.
"""

from __future__ import annotations

import asyncio
import shlex
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from sampan.aio.clock import AsyncClock

PIPE_BYTES = 1 << 16
MEBI = 1 << 20


@dataclass(frozen=True)
class Program:
    """What containers of an image do. With nothing said: the container's command if it is built in, else run for ever.

    `main` returns the exit code. `exec` answers commands run in it (built-in commands when None). `handles_term`: TERM only
    sets `process.terminated`, and the coroutine ends by itself or is killed after the grace; otherwise TERM ends it.
    """

    main: Callable[[Process], Awaitable[int]] | None = None
    exec: Callable[[Process], Awaitable[int]] | None = None
    exit_after_seconds: float | None = None
    exit_code: int = 0
    output: str = ""
    handles_term: bool = False
    start_error: str = ""
    pull_error: str = ""
    pull_seconds: float = 0.0
    size_bytes: int = 5 * MEBI
    cpu_milli: int = 1
    memory_bytes: int = 4 * MEBI


class OutOfMemory(Exception):
    """A process used more than its container may."""


class Pipe:
    """Bytes one way, bounded: `write` waits while 64 KiB lie unread; after `close`, `read` ends with b""."""

    def __init__(self) -> None:
        self._chunks: deque[bytes] = deque()
        self._size = 0
        self._closed = False
        self._changed = asyncio.Condition()

    async def read(self) -> bytes:
        async with self._changed:
            await self._changed.wait_for(lambda: self._chunks or self._closed)
            if not self._chunks:
                return b""
            chunk = self._chunks.popleft()
            self._size -= len(chunk)
            self._changed.notify_all()
            return chunk

    async def write(self, data: bytes) -> None:
        async with self._changed:
            await self._changed.wait_for(lambda: self._size < PIPE_BYTES or self._closed)
            if data and not self._closed:
                self._chunks.append(data)
                self._size += len(data)
                self._changed.notify_all()

    async def close(self) -> None:
        async with self._changed:
            self._closed = True
            self._changed.notify_all()


@dataclass
class Connection:
    """A process's end of a connection from port-forward."""

    incoming: Pipe = field(default_factory=Pipe)
    outgoing: Pipe = field(default_factory=Pipe)

    async def read(self) -> bytes:
        return await self.incoming.read()

    async def write(self, data: bytes) -> None:
        await self.outgoing.write(data)

    async def close(self) -> None:
        await self.outgoing.close()
        await self.incoming.close()


Handler = Callable[[Connection], Awaitable[None]]


@dataclass
class Process:
    """A running command as its coroutine sees it. Output is bytes or text; a text's lines go to the log as lines."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    clock: AsyncClock
    container_id: str
    pod: str
    """`namespace/name`."""
    emit: Callable[[bytes, bool], Awaitable[None]]
    memory_limit_bytes: int = 0
    stdin: Pipe | None = None
    terminated: asyncio.Event = field(default_factory=asyncio.Event)
    listeners: dict[int, Handler] = field(default_factory=dict)
    memory_bytes: int = 0
    size: tuple[int, int] = (0, 0)
    """Width and height of the terminal, as last told."""

    async def print(self, text: str, *, error: bool = False) -> None:
        """A line on stdout, or on stderr."""
        await self.emit(f"{text}\n".encode(), error)

    async def sleep(self, seconds: float) -> None:
        """Sleep, in the cluster's time."""
        await self.clock.sleep(seconds)

    async def read(self) -> bytes:
        """Bytes from stdin; b"" at its end, or where there is none."""
        return await self.stdin.read() if self.stdin is not None else b""

    def listen(self, port: int, handler: Handler) -> None:
        """Serve a port for port-forward."""
        self.listeners[port] = handler

    def use_memory(self, size_bytes: int) -> None:
        """Say how much memory is in use. Raises OutOfMemory, which ends the container as OOMKilled."""
        self.memory_bytes = size_bytes
        if 0 < self.memory_limit_bytes < size_bytes:
            raise OutOfMemory


# ---------------------------------------------------------------- built-in commands


async def _sleep(process: Process, words: Sequence[str]) -> int:
    units = {"s": 1, "m": 60, "h": 3600, "d": 86400}
    total = 0.0
    for word in words:
        if word in ("infinity", "inf"):
            await asyncio.Event().wait()
        total += float(word.rstrip("smhd") or 0) * units.get(word[-1], 1)
    await process.sleep(total)
    return 0


async def _echo(process: Process, words: Sequence[str]) -> int:
    await process.print(" ".join(words))
    return 0


async def _cat(process: Process, words: Sequence[str]) -> int:
    if words:
        await process.print(f"cat: can't open '{words[0]}': No such file or directory", error=True)
        return 1
    while data := await process.read():
        await process.emit(data, False)
    return 0


async def _env(process: Process, _words: Sequence[str]) -> int:
    for name, value in process.env.items():
        await process.print(f"{name}={value}")
    return 0


async def _nc(process: Process, words: Sequence[str]) -> int:
    """`nc -ll -p PORT -e cat`: an echo server, whatever -e says."""
    async def echo(connection: Connection) -> None:
        while data := await connection.read():
            await connection.write(data)

    process.listen(int(words[words.index("-p") + 1]), echo)
    await asyncio.Event().wait()
    return 0


def _commands(script: str) -> Iterator[tuple[list[str], str]]:
    """The commands of a script, each with what follows it: `;`, `&&` or `||`. Raises ValueError for open quotes."""
    lexer = shlex.shlex(script, posix=True, punctuation_chars=";&|><()")
    lexer.whitespace_split = True
    lexer.commenters = ""
    command: list[str] = []
    for word in [*lexer, ";"]:
        if word in (";", "&&", "||"):
            yield command, word
            command = []
        else:
            command.append(word)


async def _sh(process: Process, words: Sequence[str]) -> int:
    """`sh -c 'one; two && three'`: a list of built-in commands, `exit N`, and `>&2`."""
    code = 0
    for command, then in _commands(words[1]) if len(words) > 1 and words[0] == "-c" else ():
        if command and command[0] == "exit":
            return int(command[1]) if len(command) > 1 else code
        if command:
            code = await _one(process, command)
        if (then == "&&" and code != 0) or (then == "||" and code == 0):
            return code
    return code


async def _one(process: Process, words: list[str]) -> int:
    if words[-2:] == [">&", "2"]:
        text = " ".join(words[1:-2])
        await process.print(text, error=True)
        return 0
    command = BUILTIN.get(words[0].rpartition("/")[2])
    if command is None:
        await process.print(f"sh: {words[0]}: not found", error=True)
        return 127
    return await command(process, words[1:])


async def _code(code: int) -> int:
    return code


BUILTIN: dict[str, Callable[[Process, Sequence[str]], Awaitable[int]]] = {
    "sleep": _sleep, "echo": _echo, "cat": _cat, "env": _env, "nc": _nc, "sh": _sh,
    "true": lambda _process, _words: _code(0), "false": lambda _process, _words: _code(1),
}


def built_in(argv: Sequence[str]) -> bool:
    """Whether a command line is built in, for a shell all of its script; anything else is taken for a server."""
    name = argv[0].rpartition("/")[2] if argv else ""
    if name not in BUILTIN or name != "sh" or len(argv) < 3 or argv[1] != "-c":
        return name in BUILTIN
    try:
        return all(not command or command[0] == "exit" or (command[0] != "sh" and built_in(command))
                   for command, _ in _commands(argv[2]))
    except ValueError:
        return False


async def run_built_in(process: Process) -> int:
    """Run the process's command line."""
    return await BUILTIN[process.argv[0].rpartition("/")[2]](process, process.argv[1:])
