"""One GET as a probe does it, against real servers on this machine: redirects, bodies, words of failure."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest

from sampan.api.core.v1 import HTTPHeader
from sampan.node.probes.http import BODY_BYTES, MOST_REQUESTS, Answer, Target, get, redirected, request, target

HERE = Target("http", "127.0.0.1", 8080, "/a")


def serving(answers: Callable[[str], bytes], scenario: Callable[[int, list[bytes]], Awaitable[None]], *, hold: bool = False) -> None:
    """A server that says `answers(path)`, byte for byte, and ends the connection unless it is to hold it."""
    asked: list[bytes] = []
    ended: list[asyncio.Event] = []

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ended.append(asyncio.Event())
        own = ended[-1]
        head = await reader.readuntil(b"\r\n\r\n")
        asked.append(head)
        with suppress(ConnectionError):
            writer.write(answers(head.split(b" ")[1].decode()))
            await writer.drain()
            if hold:
                await reader.read()
        writer.close()
        with suppress(ConnectionError):  # the client has left before it had read all
            await writer.wait_closed()
        own.set()

    async def run() -> None:
        server = await asyncio.start_server(one, "127.0.0.1", 0)
        async with server:
            async with asyncio.timeout(20):
                await scenario(server.sockets[0].getsockname()[1], asked)
                for event in ended:
                    await event.wait()

    asyncio.run(run())


def reply(code: int, *headers: str, body: bytes = b"") -> bytes:
    return "\r\n".join([f"HTTP/1.1 {code} Words", *headers, "", ""]).encode() + body


def test_redirects_to_the_same_host_are_followed_with_the_headers() -> None:
    def answers(path: str) -> bytes:
        return reply(302, "Location: /two?x=1") if path == "/one" else reply(200, "Content-Length: 2", body=b"ok")

    async def scenario(port: int, asked: list[bytes]) -> None:
        answer = await get(Target("http", "127.0.0.1", port, "/one"), [HTTPHeader(name="X-Who", value="me"), HTTPHeader(name="Host", value="web")], "kube-probe/1.36")
        assert (answer.code, answer.body) == (200, b"ok")
        assert [head.split(b" ")[1] for head in asked] == [b"/one", b"/two?x=1"]
        assert all(b"X-Who: me\r\n" in head and b"Host: web\r\n" in head and b"User-Agent: kube-probe/1.36\r\n" in head for head in asked)

    serving(answers, scenario)


def test_a_circle_of_redirects_fails_after_ten_requests() -> None:
    async def scenario(port: int, asked: list[bytes]) -> None:
        with pytest.raises(OSError, match=f'Get "http://127.0.0.1:{port}/": stopped after 10 redirects'):
            await get(Target("http", "127.0.0.1", port, "/"), [], "a")
        assert len(asked) == MOST_REQUESTS

    serving(lambda _: reply(301, "Location: /"), scenario)


@pytest.mark.parametrize(("code", "location", "leads_to"), [
    (302, "http://127.0.0.1:9/b", Target("http", "127.0.0.1", 9, "/b")),
    (307, "https://127.0.0.1/b", Target("https", "127.0.0.1", 443, "/b")),
    (308, "b?c=d", Target("http", "127.0.0.1", 8080, "/b?c=d")),
    (303, "//127.0.0.1:7/x y", Target("http", "127.0.0.1", 7, "/x%20y")),
    (302, "http://elsewhere.example/b", None),
    (302, "", None),
    (300, "/b", None),
    (304, "/b", None),
    (200, "/b", None),
])
def test_where_a_redirect_leads(code: int, location: str, leads_to: Target | None) -> None:
    assert redirected(HERE, Answer(code, location=location), 1) == leads_to


@pytest.mark.parametrize("location", ["ftp://127.0.0.1/x", "http://[::1/x", "http://127.0.0.1:99999/"])
def test_a_redirect_that_makes_no_sense_is_an_error(location: str) -> None:
    with pytest.raises(OSError, match=r"unsupported protocol scheme|failed to parse Location"):
        redirected(HERE, Answer(302, location=location), 1)


@pytest.mark.parametrize(("said", "body"), [
    (reply(204), b""),
    (reply(200, "Content-Length: 0"), b""),
    (reply(200, "Content-Length: 5", body=b"hello"), b"hello"),
    (reply(200, "Transfer-Encoding: chunked", body=b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"), b"abcde"),
    (reply(103, "Link: x") + reply(200, "Content-Length: 1", body=b"x"), b"x"),
    (reply(200, "Content-Length: 100000", body=b"x" * 20000), b"x" * BODY_BYTES),
])
def test_an_answer_ends_where_it_says_though_the_connection_stays(said: bytes, body: bytes) -> None:
    async def scenario(port: int, asked: list[bytes]) -> None:
        answer = await get(Target("http", "127.0.0.1", port, "/"), [], "a")
        assert (answer.code, answer.body) == (204 if said.startswith(b"HTTP/1.1 204") else 200, body)

    serving(lambda _: said, scenario, hold=True)


def test_a_body_without_a_length_ends_with_the_connection() -> None:
    async def scenario(port: int, asked: list[bytes]) -> None:
        assert (await get(Target("http", "127.0.0.1", port, "/"), [], "a")).body == b"all of it"

    serving(lambda _: reply(500, body=b"all of it"), scenario)


@pytest.mark.parametrize(("said", "words"), [
    (b"", "EOF"),
    (b"220 smtp ready\r\n", "malformed HTTP response"),
    (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200_000, "server response headers exceeded"),
])
def test_what_is_no_http_is_an_error_in_words(said: bytes, words: str) -> None:
    async def scenario(port: int, asked: list[bytes]) -> None:
        with pytest.raises(OSError, match=words):
            await get(Target("http", "127.0.0.1", port, "/"), [], "a")

    serving(lambda _: said, scenario)


def test_a_closed_port_and_plain_http_under_https_are_said_as_upstream_says_them() -> None:
    async def closed() -> None:
        with socket.create_server(("127.0.0.1", 0)) as gone:
            port = gone.getsockname()[1]
        with pytest.raises(OSError, match=f'Get "http://127.0.0.1:{port}/x": dial tcp 127.0.0.1:{port}: connect: connection refused'):
            await get(Target("http", "127.0.0.1", port, "/x"), [], "a")

    asyncio.run(closed())

    async def run() -> None:
        over = asyncio.Event()

        async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(1)
            writer.write(reply(400, "Content-Length: 0"))
            await writer.drain()
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()
            over.set()

        async with await asyncio.start_server(plain, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            with pytest.raises(OSError, match="http: server gave HTTP response to HTTPS client"):
                await get(Target("https", "127.0.0.1", port, "/"), [], "a")
            await over.wait()

    asyncio.run(run())


def test_nothing_of_a_spec_gets_into_the_request_unquoted() -> None:
    # a path
    assert target("HTTP", "::1", 80, "a b\r\nX: y?q=ü#part") == Target("http", "::1", 80, "/a%20bX:%20y?q=%C3%BC")
    assert target("HTTPS", "h", 443, "").url == "https://h:443/"
    assert Target("http", "::1", 80, "/").url == "http://[::1]:80/"
    # a header
    with pytest.raises(OSError, match='invalid header field value for "X-A"'):
        request(HERE, [HTTPHeader(name="X-A", value="b\r\nGET /evil HTTP/1.1")], "agent", "host")


def test_headers_of_the_spec_replace_or_take_away_the_usual_ones() -> None:
    sent = request(HERE, [HTTPHeader(name="Accept", value=""), HTTPHeader(name="user-agent", value="me"), HTTPHeader(name="X", value="1"),
                          HTTPHeader(name="X", value="2")], "agent", "web")
    assert sent.decode().split("\r\n") == ["GET /a HTTP/1.1", "Host: web", "user-agent: me", "X: 1", "X: 2", "Connection: close", "", ""]
