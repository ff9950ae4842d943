"""Extenders on loopback over HTTPS: whom they must prove to be, as whom they are asked, what a bad answer is."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.scheduler.one_cluster import one_cluster
from tests.scheduler.small import node, pod

from sampan.aio.clock import SystemClock
from sampan.api import codec
from sampan.lib import pki
from sampan.lib.errors import ConfigError
from sampan.scheduler.config import settings
from sampan.scheduler.extenders import Extender, ExtenderError, HttpPost
from sampan.testing import waiting

NOW = SystemClock().now()
CA, OTHER = pki.new_ca("authority", now=NOW), pki.new_ca("somebody", now=NOW)
SERVER = pki.issue(CA, pki.Names("extender", dns=("extender.example",)), ("digital signature", "server auth"), now=NOW)
LOCAL = pki.issue(CA, pki.Names("extender", addresses=("127.0.0.1",)), ("digital signature", "server auth"), now=NOW)
CLIENT = pki.issue(CA, pki.Names("scheduler"), ("digital signature", "client auth"), now=NOW)
Answer = Callable[[str, dict[str, Any]], tuple[int, bytes] | None]


def text(data: bytes) -> str:
    return base64.b64encode(data).decode()


class Service:
    """An extender's service: what it was asked, by whom, over how many connections."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self.asked: list[str] = []
        self.peers: list[str] = []
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = writer.get_extra_info("peercert")
        self.peers.append(dict(one[0] for one in peer["subject"])["commonName"] if peer else "")
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                length = next(int(line.split(":")[1]) for line in head.split("\r\n") if line.lower().startswith("content-length"))
                body, path = await reader.readexactly(length), head.split(" ")[1]
                self.asked.append(path)
                said = self._answer(path, codec.loads(body))
                if said is not None:
                    writer.write(b"HTTP/1.1 %d x\r\nContent-Length: %d\r\n\r\n%b" % (said[0], len(said[1]), said[1]))
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            return
        finally:
            writer.close()


@asynccontextmanager
async def service(folder: Path, answer: Answer, pair: pki.Pair = LOCAL, *, ask_client: bool = False) -> AsyncIterator[Service]:
    (folder / "tls.crt").write_bytes(pair.certificate)
    (folder / "tls.key").write_bytes(pair.key)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cadata=CA.certificate.decode())
    context.load_cert_chain(folder / "tls.crt", folder / "tls.key")
    context.verify_mode = ssl.CERT_REQUIRED if ask_client else ssl.CERT_NONE
    found = Service(answer)
    listener = await asyncio.start_server(found.serve, "127.0.0.1", 0, ssl=context)
    found.port = listener.sockets[0].getsockname()[1]
    try:
        yield found
    finally:
        listener.close()


def extender(port: int, tls: dict[str, Any] | None = None, **more: Any) -> Extender:
    entry = {"urlPrefix": f"https://127.0.0.1:{port}/my/", "filterVerb": "filter", "tlsConfig": tls, **more}
    one, = settings({"extenders": [entry]}).extenders
    return one


def everything(path: str, said: dict[str, Any]) -> tuple[int, bytes]:
    return 200, codec.encode({"NodeNames": said.get("NodeNames")})


async def asked(one: Extender) -> bytes:
    post = HttpPost()
    try:
        return await post(one, f"{one.url}/filter", b'{"NodeNames":["a"]}')
    finally:
        await post.close()


@pytest.mark.parametrize(("pair", "tls", "more", "works"), [
    (LOCAL, {"caData": text(CA.certificate)}, {}, True),
    (LOCAL, {"caData": text(OTHER.certificate)}, {}, False),
    (LOCAL, None, {}, False),
    (LOCAL, {"insecure": True}, {}, True),
    (LOCAL, None, {"enableHTTPS": True}, True),
    (LOCAL, {"caData": text(OTHER.certificate)}, {"enableHTTPS": True}, False),
    (SERVER, {"caData": text(CA.certificate)}, {}, False),
    (SERVER, {"caData": text(CA.certificate), "serverName": "extender.example"}, {}, True),
    (SERVER, {"caData": text(CA.certificate), "serverName": "another.example"}, {}, False),
])
def test_an_extender_proves_who_it_is(tmp_path: Path, pair: pki.Pair, tls: dict[str, Any] | None, more: dict[str, Any], works: bool) -> None:
    async def test() -> None:
        async with service(tmp_path, everything, pair) as found:
            if works:
                assert await asked(extender(found.port, tls, **more)) == b'{"NodeNames":["a"]}'
                assert found.asked == ["/my/filter"]
            else:
                with pytest.raises(ExtenderError, match=r"did not answer: .*certificate verify failed"):
                    await asked(extender(found.port, tls, **more))
                assert found.asked == []

    asyncio.run(test())


@pytest.mark.parametrize("by_files", [False, True])
def test_the_scheduler_proves_who_it_is(tmp_path: Path, by_files: bool) -> None:
    (tmp_path / "ca.crt").write_bytes(CA.certificate)
    (tmp_path / "client.crt").write_bytes(CLIENT.certificate)
    (tmp_path / "client.key").write_bytes(CLIENT.key)
    in_place = {"caData": text(CA.certificate), "certData": text(CLIENT.certificate), "keyData": text(CLIENT.key)}
    files = {"caFile": str(tmp_path / "ca.crt"), "certFile": str(tmp_path / "client.crt"), "keyFile": str(tmp_path / "client.key")}

    async def test() -> None:
        async with service(tmp_path, everything, ask_client=True) as found:
            await asked(extender(found.port, files if by_files else in_place))
            assert found.peers == ["scheduler"]
            with pytest.raises(ExtenderError, match="did not answer"):
                await asked(extender(found.port, {"caData": text(CA.certificate)}))

    asyncio.run(test())


def test_one_connection_serves_many_questions(tmp_path: Path) -> None:
    async def test() -> None:
        async with service(tmp_path, everything) as found:
            one, post = extender(found.port, {"caData": text(CA.certificate)}), HttpPost()
            for _ in range(3):
                await post(one, f"{one.url}/filter", b'{"NodeNames":[]}')
            await post.close()
            assert (len(found.asked), len(found.peers)) == (3, 1)

    asyncio.run(test())


@pytest.mark.parametrize(("tls", "words"), [
    ({"insecure": True, "caData": text(CA.certificate)}, "specifying a root certificates file with the insecure flag is not allowed"),
    ({"certData": text(CLIENT.certificate)}, "a client certificate needs its key"),
    ({"caData": "no base64!"}, "caData is no base64"),
    ({"caData": text(b"no certificate")}, "its certificates cannot be used"),
    ({"certData": text(CLIENT.certificate), "keyData": text(LOCAL.key)}, "its certificates cannot be used"),
    ({"caFile": "/nowhere/ca.crt"}, "No such file or directory"),
])
def test_tls_that_cannot_be_used_is_refused_at_the_start(tls: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        extender(1, tls)


@pytest.mark.parametrize(("answer", "words"), [
    (lambda *_: (500, b"no"), "answered 500"),
    (lambda *_: (200, b"[]"), "something else than an object"),
    (lambda *_: (200, b"{"), "answered no JSON"),
    (lambda *_: (200, b'{"Nodes":{"items":[{}]}}'), "an answer that cannot be read: KeyError 'metadata'"),
    (lambda *_: (200, b'{"NodeNames":5}'), "an answer that cannot be read"),
    (lambda *_: (200, b'{"Error":"not today"}'), "not today"),
    (lambda *_: None, "did not answer: TimeoutError"),
])
def test_what_is_no_answer_is_an_error(tmp_path: Path, answer: Answer, words: str) -> None:
    async def test() -> None:
        async with service(tmp_path, answer) as found:
            one, post = extender(found.port, {"insecure": True}, httpTimeout="200ms", nodeCacheCapable=True), HttpPost()
            try:
                with pytest.raises(ExtenderError, match=words):
                    await one.filter(pod("p"), [node("a")], post)
            finally:
                await post.close()

    asyncio.run(test())


def test_an_extender_over_https_has_the_last_word(tmp_path: Path) -> None:
    def answer(path: str, said: dict[str, Any]) -> tuple[int, bytes]:
        return 200, codec.encode({"NodeNames": [name for name in said["NodeNames"] if name != "a"], "FailedNodes": {"a": "not that one"}})

    async def test() -> None:
        async with service(tmp_path, answer) as found:
            entry = {"urlPrefix": f"https://127.0.0.1:{found.port}", "filterVerb": "filter", "nodeCacheCapable": True,
                     "tlsConfig": {"caData": text(CA.certificate)}}
            async with one_cluster(node("a"), node("b"), settings=settings({"extenders": [entry]})) as cluster:
                await cluster.put(*(pod(f"p{index}", "1") for index in range(3)))
                assert set((await cluster.bound("p0", "p1", "p2")).values()) == {"b"}
                await cluster.put(pod("q", "1", nodeSelector={"kubernetes.io/hostname": "a"}))
                assert "1 not that one" in await cluster.refused("q")

    waiting.run(test())
