"""SPDY/3.1 framing: bytes in, events out; calls in, bytes out. No sockets here.

Owns: frames, header compression, stream numbers, bounds. Leaves: flow control, which the peers that still speak SPDY
(moby/spdystream) do not do either: TCP's window holds a fast sender back, WINDOW_UPDATE is ignored.

Source: SPDY Protocol draft 3.1, sections 2.2 (framing), 2.6 (control frames), 2.6.10 (name/value block).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from sampan.lib.errors import SampanError

MOST_CONTROL_BYTES = 1 << 18
MOST_DATA_BYTES = 1 << 24
MOST_HEADER_BYTES = 1 << 16
MOST_STREAMS = 4096
SEND_BYTES = 1 << 15

SYN_STREAM, SYN_REPLY, RST_STREAM, SETTINGS, PING, GOAWAY, HEADERS, WINDOW_UPDATE = 1, 2, 3, 4, 6, 7, 8, 9
FIN = 1
PROTOCOL_ERROR, INVALID_STREAM, REFUSED_STREAM, CANCEL = 1, 2, 3, 5

_WORDS = ["options", "head", "post", "put", "delete", "trace", "accept", "accept-charset", "accept-encoding", "accept-language", "accept-ranges", "age", "allow", "authorization", "cache-control", "connection", "content-base", "content-encoding", "content-language", "content-length", "content-location", "content-md5", "content-range", "content-type", "date", "etag", "expect", "expires", "from", "host", "if-match", "if-modified-since", "if-none-match", "if-range", "if-unmodified-since", "last-modified", "location", "max-forwards", "pragma", "proxy-authenticate", "proxy-authorization", "range", "referer", "retry-after", "server", "te", "trailer", "transfer-encoding", "upgrade", "user-agent", "vary", "via", "warning", "www-authenticate", "method", "get", "status"]
_TAIL = (
    "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505203 Non-Authoritative "
    "Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized403 Forbidden404 Not Found500 "
    "Internal Server Error501 Not Implemented503 Service UnavailableJan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec "
    "00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMTchunked,text/html,image/png,image/jpg,image/gif,application/xml,"
    "application/xhtml+xml,text/plain,text/javascript,publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset="
    "iso-8859-1,utf-,*,enq=0."
)
DICTIONARY = b"".join(
    struct.pack(">I", len(word)) + word.encode()
    for word in (*_WORDS, "200 OK", "version", "HTTP/1.1", "url", "public", "set-cookie", "keep-alive", "origin")
) + _TAIL.encode()


class SpdyError(SampanError):
    """The peer broke the protocol or a bound; the connection is of no more use."""


@dataclass(frozen=True)
class Opened:
    """The peer opened a stream."""

    stream: int
    headers: Mapping[str, str]
    fin: bool


@dataclass(frozen=True)
class Replied:
    """The peer accepted a stream of ours."""

    stream: int
    headers: Mapping[str, str]
    fin: bool


@dataclass(frozen=True)
class Received:
    """Data, and whether it was the peer's last on this stream."""

    stream: int
    data: bytes
    fin: bool


@dataclass(frozen=True)
class Reset:
    """The peer ended a stream in both directions."""

    stream: int
    status: int


@dataclass(frozen=True)
class GoAway:
    """The peer takes no more streams."""

    last: int


Event = Opened | Replied | Received | Reset | GoAway


@dataclass
class _Stream:
    sent_fin: bool = False
    got_fin: bool = False


@dataclass
class Connection:
    """One side of a connection. After any call, send what `take()` returns."""

    client: bool
    _out: bytearray = field(default_factory=bytearray)
    _in: bytearray = field(default_factory=bytearray)
    _streams: dict[int, _Stream] = field(default_factory=dict)
    _last_peer: int = 0

    def __post_init__(self) -> None:
        self._next = 1 if self.client else 2
        self._compress = zlib.compressobj(zdict=DICTIONARY)
        self._decompress = zlib.decompressobj(zdict=DICTIONARY)

    def take(self) -> bytes:
        """The bytes that wait to be sent, once."""
        out = bytes(self._out)
        self._out.clear()
        return out

    def is_open(self, stream: int) -> bool:
        """Whether either side may still send on it."""
        return stream in self._streams

    @property
    def streams(self) -> int:
        """How many streams are open in either direction."""
        return len(self._streams)

    def open(self, headers: Mapping[str, str], *, fin: bool = False) -> int:
        """Open a stream, return its number; with `fin` we never send on it."""
        number, self._next = self._next, self._next + 2
        self._streams[number] = _Stream(sent_fin=fin)
        self._control(SYN_STREAM, FIN if fin else 0, struct.pack(">IIH", number, 0, 0) + self._pack(headers))
        return number

    def accept(self, stream: int) -> None:
        """Answer a stream that the peer opened."""
        self._control(SYN_REPLY, 0, struct.pack(">I", stream) + self._pack({}))

    def send(self, stream: int, data: bytes, *, fin: bool = False) -> None:
        """Send on a stream; nothing happens on one that is closed for us."""
        state = self._streams.get(stream)
        if state is None or state.sent_fin:
            return
        view = memoryview(data)
        while len(view) > SEND_BYTES:
            self._data(stream, 0, view[:SEND_BYTES])
            view = view[SEND_BYTES:]
        if fin or view:
            self._data(stream, FIN if fin else 0, view)
        if fin:
            state.sent_fin = True
            self._forget(stream, state)

    def reset(self, stream: int, status: int = CANCEL) -> None:
        """End a stream in both directions."""
        if self._streams.pop(stream, None) is not None:
            self._control(RST_STREAM, 0, struct.pack(">II", stream, status))

    def go_away(self) -> None:
        """Say that no more streams will be taken."""
        self._control(GOAWAY, 0, struct.pack(">II", self._last_peer, 0))

    def receive(self, data: bytes) -> list[Event]:
        """What the peer's bytes mean. Raises SpdyError; then close the connection."""
        self._in += data
        events: list[Event] = []
        while len(self._in) >= 8:
            first, second = struct.unpack_from(">II", self._in)
            flags, length = second >> 24, second & 0xFFFFFF
            control = bool(first & 0x80000000)
            if length > (MOST_CONTROL_BYTES if control else MOST_DATA_BYTES):
                raise SpdyError(f"a SPDY frame of {length} bytes is too long")
            if len(self._in) < 8 + length:
                break
            body = bytes(self._in[8:8 + length])
            del self._in[:8 + length]
            if control:
                if first >> 16 & 0x7FFF != 3:
                    raise SpdyError(f"the peer speaks SPDY/{first >> 16 & 0x7FFF}, not SPDY/3.1")
                self._on_control(first & 0xFFFF, flags, body, events)
            else:
                self._on_data(first, body, bool(flags & FIN), events)
        return events

    # what came

    def _on_data(self, stream: int, body: bytes, fin: bool, events: list[Event]) -> None:
        state = self._streams.get(stream)
        if state is None or state.got_fin:
            return  # a late frame of a stream that was reset
        if fin:
            state.got_fin = True
            self._forget(stream, state)
        events.append(Received(stream, body, fin))

    def _on_control(self, kind: int, flags: int, body: bytes, events: list[Event]) -> None:
        fin = bool(flags & FIN)
        try:
            if kind == SYN_STREAM:
                self._on_opened(body, fin, events)
            elif kind in (SYN_REPLY, HEADERS):
                # the block must be read even of a forgotten stream: compression is shared
                headers = self._unpack(body[4:])
                stream = struct.unpack_from(">I", body)[0] & 0x7FFFFFFF
                state = self._streams.get(stream)
                if state is not None:
                    state.got_fin = state.got_fin or fin
                    self._forget(stream, state)
                    if kind == SYN_REPLY:
                        events.append(Replied(stream, headers, fin))
            elif kind == RST_STREAM:
                stream, status = struct.unpack_from(">II", body)
                if self._streams.pop(stream, None) is not None:
                    events.append(Reset(stream, status))
            elif kind == PING:
                number = struct.unpack_from(">I", body)[0]
                if bool(number & 1) != self.client:  # not the echo of ours
                    self._control(PING, 0, body[:4])
            elif kind == GOAWAY:
                events.append(GoAway(struct.unpack_from(">I", body)[0] & 0x7FFFFFFF))
        except struct.error as error:
            raise SpdyError(f"a SPDY control frame of type {kind} is cut short") from error

    def _on_opened(self, body: bytes, fin: bool, events: list[Event]) -> None:
        stream = struct.unpack_from(">I", body)[0] & 0x7FFFFFFF
        headers = self._unpack(body[10:])
        if stream <= self._last_peer or bool(stream & 1) == self.client:
            raise SpdyError(f"the peer may not open stream {stream} now")
        self._last_peer = stream
        self._streams[stream] = _Stream(got_fin=fin)
        if len(self._streams) > MOST_STREAMS:
            self.reset(stream, REFUSED_STREAM)
            return
        events.append(Opened(stream, headers, fin))

    def _forget(self, stream: int, state: _Stream) -> None:
        if state.sent_fin and state.got_fin:
            self._streams.pop(stream, None)

    # bytes

    def _control(self, kind: int, flags: int, body: bytes) -> None:
        self._out += struct.pack(">HHI", 0x8003, kind, flags << 24 | len(body)) + body

    def _data(self, stream: int, flags: int, body: memoryview) -> None:
        self._out += struct.pack(">II", stream, flags << 24 | len(body))
        self._out += body

    def _pack(self, headers: Mapping[str, str]) -> bytes:
        parts = [struct.pack(">I", len(headers))]
        for name, value in headers.items():
            parts.extend(struct.pack(">I", len(text)) + text for text in (name.lower().encode(), value.encode()))
        return self._compress.compress(b"".join(parts)) + self._compress.flush(zlib.Z_SYNC_FLUSH)

    def _unpack(self, block: bytes) -> dict[str, str]:
        try:
            plain = self._decompress.decompress(block, MOST_HEADER_BYTES)
        except zlib.error as error:
            raise SpdyError(f"SPDY headers do not decompress: {error}") from error
        if self._decompress.unconsumed_tail:
            raise SpdyError("SPDY headers are too long")
        return _names_and_values(plain)


def _names_and_values(plain: bytes) -> dict[str, str]:
    try:
        count, at, texts = struct.unpack_from(">I", plain)[0], 4, []
        if count > 256:
            raise SpdyError("too many SPDY headers")
        for _ in range(2 * count):
            length = struct.unpack_from(">I", plain, at)[0]
            text = plain[at + 4:at + 4 + length]
            if len(text) != length:
                raise SpdyError("SPDY headers are cut short")
            texts.append(text.decode())
            at += 4 + length
    except (struct.error, UnicodeDecodeError) as error:
        raise SpdyError("SPDY headers do not decode") from error
    return dict(zip(texts[::2], texts[1::2], strict=True))
