"""SPDY/3.1 frames: two ends talk to each other, and to bytes made by hand."""

from __future__ import annotations

import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.drivers.spdy.frames import (
    CANCEL,
    DICTIONARY,
    MOST_STREAMS,
    Connection,
    GoAway,
    Opened,
    Received,
    Replied,
    Reset,
    SpdyError,
)


def pair() -> tuple[Connection, Connection]:
    return Connection(client=True), Connection(client=False)


def test_the_dictionary_is_the_drafts() -> None:
    # the number by which every other implementation names it
    assert len(DICTIONARY) == 1423
    assert zlib.adler32(DICTIONARY) == 0xE3C6A7C2


def test_a_stream_is_opened_answered_and_closed_half_by_half() -> None:
    client, server = pair()
    # when the client opens, speaks and closes its half
    stream = client.open({"streamType": "stdin", "port": "80"})
    client.send(stream, b"hello")
    client.send(stream, b"", fin=True)
    # then
    assert server.receive(client.take()) == [
        Opened(1, {"streamtype": "stdin", "port": "80"}, fin=False), Received(1, b"hello", fin=False),
        Received(1, b"", fin=True)]
    # when the server answers after that
    server.accept(1)
    server.send(1, b"bye", fin=True)
    assert client.receive(server.take()) == [Replied(1, {}, fin=False), Received(1, b"bye", fin=True)]
    # then both have forgotten it
    assert client.streams == server.streams == 0


def test_both_sides_number_their_own_streams() -> None:
    client, server = pair()
    assert [client.open({}), client.open({}), server.open({})] == [1, 3, 2]


def test_headers_share_one_compression() -> None:
    client, server = pair()
    sizes = []
    for number in range(3):
        client.open({"streamtype": "data", "port": "8080", "requestid": str(number)})
        out = client.take()
        sizes.append(len(out))
        assert isinstance(server.receive(out)[0], Opened)
    assert sizes[1] < sizes[0]


@given(data=st.binary(max_size=200_000), cuts=st.lists(st.integers(1, 50_000), max_size=20))
def test_bytes_arrive_however_they_are_cut(data: bytes, cuts: list[int]) -> None:
    client, server = pair()
    stream = client.open({"a": "b"})
    client.send(stream, data, fin=True)
    out, got, ended = client.take(), b"", False
    for cut in [*cuts, len(out)]:
        for event in server.receive(out[:cut]):
            if isinstance(event, Received):
                got, ended = got + event.data, event.fin
        out = out[cut:]
    assert got == data
    assert ended


def test_a_reset_ends_both_directions() -> None:
    client, server = pair()
    stream = client.open({})
    server.receive(client.take())
    client.reset(stream)
    assert server.receive(client.take()) == [Reset(1, CANCEL)]
    server.send(1, b"too late")
    assert server.take() == b""
    # a late frame of the other side is ignored
    assert client.receive(struct.pack(">II", 1, 3) + b"abc") == []


def test_a_ping_is_echoed_and_our_own_echo_is_not() -> None:
    client, server = pair()
    ping = struct.pack(">HHII", 0x8003, 6, 4, 1)
    server.receive(ping)
    assert server.take() == ping
    client.receive(ping)
    assert client.take() == b""


def test_going_away_names_the_last_stream() -> None:
    client, server = pair()
    client.open({})
    server.receive(client.take())
    server.go_away()
    assert client.receive(server.take()) == [GoAway(1)]


def test_unknown_frames_and_settings_are_passed_over() -> None:
    _, server = pair()
    settings = struct.pack(">HHII", 0x8003, 4, 4, 0)
    window = struct.pack(">HHIII", 0x8003, 9, 8, 1, 1000)
    assert server.receive(settings + window) == []


@pytest.mark.parametrize(("data", "said"), [
    (struct.pack(">HHI", 0x8002, 1, 0), "SPDY/2"),
    (struct.pack(">HHI", 0x8003, 1, 0xFFFFFF), "too long"),
    (struct.pack(">HHII", 0x8003, 3, 4, 1), "cut short"),
    (struct.pack(">HHI", 0x8003, 1, 20) + struct.pack(">IIH", 1, 0, 0) + b"not zlib!!", "do not decompress"),
    (b"GET / HTTP/1.1\r\n\r\n" * 3_000_000, ""),
])
def test_what_is_not_spdy_is_refused_or_waits_within_bounds(data: bytes, said: str) -> None:
    _, server = pair()
    if said:
        with pytest.raises(SpdyError, match=said):
            server.receive(data)
    else:
        assert server.receive(data) == []


def test_a_header_bomb_is_refused() -> None:
    squeeze = zlib.compressobj(zdict=DICTIONARY)
    block = squeeze.compress(struct.pack(">I", 1) + bytes(10_000_000)) + squeeze.flush(zlib.Z_SYNC_FLUSH)
    frame = struct.pack(">HHI", 0x8003, 1, 10 + len(block)) + struct.pack(">IIH", 1, 0, 0) + block
    with pytest.raises(SpdyError, match="too long"):
        Connection(client=False).receive(frame)


def test_a_stream_number_may_not_go_back_or_be_ours() -> None:
    for wrong in (1, 4):
        client, server = pair()
        client.open({})
        server.receive(client.take())
        client._next = wrong
        client.open({})
        with pytest.raises(SpdyError, match="may not open"):
            server.receive(client.take())


def test_too_many_streams_are_refused_one_by_one() -> None:
    client, server = pair()
    for _ in range(MOST_STREAMS + 1):
        client.open({})
    events = server.receive(client.take())
    assert len(events) == MOST_STREAMS
    assert [event for event in client.receive(server.take()) if isinstance(event, Reset)] == [Reset(2 * MOST_STREAMS + 1, 3)]
