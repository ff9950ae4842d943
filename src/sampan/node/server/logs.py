"""Container logs in CRI's format, as `kubectl logs` wants them. Parsing is pure; following reads through the runtime.

A line is `RFC3339Nano stdout|stderr F|P text`; P means that the line goes on. Source: kubelet
`pkg/kubelet/kuberuntime/logs`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime

from sampan.aio.clock import AsyncClock
from sampan.node.runtimes.base import Runtime
from sampan.node.runtimes.errors import NotFound

CHUNK_BYTES = 256 * 1024
FOLLOW_SECONDS = 0.1
CHECK_SECONDS = 1.0


@dataclass(frozen=True)
class LogOptions:
    """What the query asked for; None: no limit."""

    follow: bool = False
    timestamps: bool = False
    since: datetime | None = None
    tail_lines: int | None = None
    limit_bytes: int | None = None
    stream: str = "All"


@dataclass(frozen=True)
class Line:
    """One entry of a log file; `partial` when its line goes on in the next entry of the stream."""

    at: bytes
    stream: bytes
    partial: bool
    text: bytes


def parse(raw: bytes) -> Line | None:
    """One line of a log file; None where it is not one (a line cut by a crash)."""
    parts = raw.split(b" ", 3)
    if len(parts) < 4 or parts[1] not in (b"stdout", b"stderr"):
        return None
    return Line(parts[0], parts[1], parts[2].startswith(b"P"), parts[3])


def moment(at: bytes) -> datetime:
    """The time of a line; nanoseconds cut to microseconds."""
    text = at.decode()
    head, dot, rest = text.partition(".")
    if not dot:
        return datetime.fromisoformat(text)
    digits = len(rest) - len(rest.lstrip("0123456789"))
    return datetime.fromisoformat(f"{head}.{rest[:digits][:6].ljust(6, '0')}{rest[digits:]}")


def render(line: Line, options: LogOptions, *, fresh: bool) -> bytes:
    """The bytes that a client gets for one entry; `fresh` when it begins a line."""
    if options.stream != "All" and line.stream.decode() != options.stream.lower():
        return b""
    if options.since is not None and moment(line.at) < options.since:
        return b""
    head = line.at + b" " if options.timestamps and fresh else b""
    return head + line.text + (b"" if line.partial else b"\n")


def tail_offset(data: bytes, lines: int) -> int:
    """Where the last `lines` whole lines of a log begin; an entry that goes on counts with its end."""
    if lines <= 0:
        return len(data)
    entries = data.splitlines(keepends=True)
    position, found = len(data), 0
    for index in range(len(entries) - 1, -1, -1):
        parsed = parse(entries[index].rstrip(b"\n"))
        if parsed is not None and not parsed.partial:
            if found == lines:
                return position
            found += 1
        position -= len(entries[index])
    return 0


async def read(runtime: Runtime, path: str, options: LogOptions, running: Callable[[], Awaitable[bool]], clock: AsyncClock) -> AsyncIterator[bytes]:
    """The log as the options want it; with `follow` until the container has ended and everything was read.

    Raises:
        NotFound: There is no such log.
    """
    position = await runtime.log_end(path)
    offset = 0
    if options.tail_lines is not None:
        offset = await _tail(runtime, path, position.size_bytes, options.tail_lines)
    left = options.limit_bytes
    rest, fresh = b"", True
    alive, checked = options.follow, clock.monotonic()
    while left is None or left > 0:
        data = await runtime.read_log(path, offset, CHUNK_BYTES)
        offset += len(data)
        *lines, rest = (rest + data).split(b"\n")
        out = bytearray()
        for raw in lines:
            if (line := parse(raw)) is not None:
                out += render(line, options, fresh=fresh)
                fresh = not line.partial
        if out:
            piece = bytes(out) if left is None else bytes(out[:left])
            left = None if left is None else left - len(piece)
            yield piece
        if data:
            continue
        if not alive:
            return
        if clock.monotonic() - checked >= CHECK_SECONDS:
            # one more turn after it has ended: its last words may come between the read and the question
            alive, checked = await running(), clock.monotonic()
        await clock.sleep(FOLLOW_SECONDS)
        try:
            now = await runtime.log_end(path)
        except NotFound:
            return
        if now.identity != position.identity:  # rotated: the rest of the old file has been read
            position, offset = now, 0


async def _tail(runtime: Runtime, path: str, size: int, lines: int) -> int:
    """The offset of the last lines, reading backwards by ever larger pieces."""
    piece = CHUNK_BYTES
    while True:
        begin = max(0, size - piece)
        data = b""
        while len(data) < size - begin:
            got = await runtime.read_log(path, begin + len(data), size - begin - len(data))
            if not got:
                break
            data += got
        if begin:
            cut = data.find(b"\n") + 1
            data, start = data[cut:], begin + cut
        else:
            start = 0
        offset = tail_offset(data, lines)
        if offset or not begin:
            return start + offset
        piece *= 4
