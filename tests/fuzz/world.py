"""A server that is asked anything, and the judge of its answers.

Requests come in as from a network (bytes in the ASGI scope, a bearer token), so authentication, parsing and negotiation are
part of what is tried. The loop and the server live as long as a test module's fixture.
"""

from __future__ import annotations

import asyncio
import os
import zlib
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from typing import Any

from hypothesis import HealthCheck
from hypothesis import settings as budget

from sampan.aio.clock import VirtualClock
from sampan.api import codec
from sampan.apiserver.request import ADMIN
from sampan.apiserver.server import Settings
from sampan.testing.server import LEAN, RunningServer, running_server
from sampan.testing.waiting import PATIENCE_SECONDS

SOAK = bool(os.environ.get("SAMPAN_SOAK"))
"""No answer may take that long on any machine."""
CUSTOM = "/apis/example.com/v1/namespaces/default/widgets"
MAPS = "/api/v1/namespaces/default/configmaps"
PODS = "/api/v1/namespaces/default/pods"
SERVICES = "/api/v1/namespaces/default/services"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
SOME = [MAPS, PODS, SERVICES, DEPLOYMENTS, DEFINITIONS, CUSTOM]

WIDGETS: dict[str, Any] = {
    "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "widgets.example.com"},
    "spec": {
        "group": "example.com", "scope": "Namespaced", "names": {"plural": "widgets", "kind": "Widget"},
        "versions": [{
            "name": "v1", "served": True, "storage": True, "subresources": {"status": {}, "scale": {
                "specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"}},
            "schema": {"openAPIV3Schema": {"type": "object", "properties": {
                "spec": {"type": "object", "properties": {
                    "replicas": {"type": "integer", "minimum": 0, "maximum": 100, "default": 1},
                    "size": {"x-kubernetes-int-or-string": True},
                    "name": {"type": "string", "maxLength": 10, "pattern": "^(a+)+$"},
                    "tags": {"type": "array", "maxItems": 5, "x-kubernetes-list-type": "set", "items": {"type": "string", "maxLength": 9}},
                    "parts": {"type": "array", "maxItems": 5, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["id"],
                              "items": {"type": "object", "required": ["id"],
                                        "properties": {"id": {"type": "integer"}, "at": {"type": "string", "format": "date-time"}}}},
                    "any": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                    "ratio": {"type": "number", "nullable": True}},
                    "x-kubernetes-validations": [{"rule": "!has(self.name) || self.replicas < 50 || self.name.startsWith('a')"}]},
                "status": {"type": "object", "properties": {"replicas": {"type": "integer"}}}}}}}]}}


def bounded(sample: int, soak: int = 0) -> budget:
    """So many examples in `make test`, always the same; many and new ones in `make soak`."""
    return budget(max_examples=(soak or sample * 50) if SOAK else sample, derandomize=not SOAK, deadline=None, database=None,
                  suppress_health_check=list(HealthCheck), print_blob=True)


@dataclass(frozen=True)
class Answer:
    code: int
    headers: dict[str, str]
    body: bytes

    @property
    def value(self) -> Any:
        return codec.loads(self.body)


class World:
    """`ask` from a test that is not async."""

    def __init__(self, settings: Settings = replace(LEAN, users={"secret": ADMIN}), clock: VirtualClock | None = None) -> None:
        self._runner, self._clock = asyncio.Runner(), clock
        self._context: AbstractAsyncContextManager[RunningServer] = running_server(settings=settings, clock=clock)
        self.server = self._runner.run(self._context.__aenter__())
        assert self.ask("POST", DEFINITIONS, codec.encode(WIDGETS)).code == 201
        self._runner.run(self._served())

    def pass_seconds(self, seconds: float) -> None:
        """Of the virtual clock."""
        assert self._clock is not None
        self._runner.run(self._clock.advance(seconds))

    async def _served(self) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while (await self._ask("GET", CUSTOM, b"", {})).code != 200:
                await (self._clock.advance(1) if self._clock is not None else asyncio.sleep(0.005))

    def close(self) -> None:
        self._runner.run(self._context.__aexit__(None, None, None))
        self._runner.close()

    def ask(self, method: str, target: str | bytes, body: bytes = b"", headers: dict[str, str | bytes] | None = None) -> Answer:
        """The answer, which has passed the judge; of a watch, what it says at once."""
        return self._runner.run(self._ask(method, target, body, headers or {}))

    async def _ask(self, method: str, target: str | bytes, body: bytes, headers: dict[str, str | bytes]) -> Answer:
        raw = target.encode("utf-8", "surrogatepass") if isinstance(target, str) else target
        path, _, query = raw.partition(b"?")
        sent: list[dict[str, Any]] = []
        asked = False

        async def receive() -> dict[str, Any]:
            nonlocal asked
            if not asked:
                asked = True
                return {"type": "http.request", "body": body, "more_body": False}
            await asyncio.sleep(0)
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(dict(message))

        own: dict[str, str | bytes] = {"authorization": "Bearer secret", "content-type": "application/json"} | headers
        scope = {"type": "http", "method": method, "path": path.decode("utf-8", "replace"), "query_string": query, "client": ("127.0.0.1", 1),
                 "headers": [(name.encode(), value if isinstance(value, bytes) else value.encode("utf-8", "surrogatepass"))
                             for name, value in own.items()]}
        async with asyncio.timeout(PATIENCE_SECONDS):
            await self.server.app(scope, receive, send)
        got = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in sent[0]["headers"]}
        answer = Answer(sent[0]["status"], got, b"".join(message.get("body", b"") for message in sent[1:]))
        if got.get("content-encoding") == "gzip":
            answer = replace(answer, body=zlib.decompress(answer.body, 31))
        if method == "HEAD":
            assert not answer.body, target
        else:
            judge(answer, f"{method} {target!r} {headers} {body[:2000]!r}")
        return answer


def judge(answer: Answer, about: str) -> None:
    """Errors are Status objects that agree with their code; none is the server's own failure.

    Raises:
        AssertionError: One is not.
    """
    assert 200 <= answer.code < 600, about
    kind = answer.headers.get("content-type", "").partition(";")[0]
    for name, value in answer.headers.items():
        assert "\n" not in value, f"header {name} of {about}"
        assert "\r" not in value, f"header {name} of {about}"
    if answer.code < 400:
        if kind == "application/json":
            try:
                codec.loads(answer.body)
            except codec.DecodeError:  # a watch: one event a line
                for line in answer.body.splitlines():
                    codec.loads(line)
        return
    if kind == "application/json":
        status = answer.value
        assert (status["kind"], status["apiVersion"], status["status"], status["code"]) == ("Status", "v1", "Failure", answer.code), about
        assert status["message"], about
        causes = (status.get("details") or {}).get("causes") or ()
        assert not any(cause.get("message") == "unexpected error" for cause in causes), f"{about}: {status}"
    else:
        assert kind in ("text/plain", "application/yaml", "application/vnd.kubernetes.protobuf"), f"{kind} for {about}"
        assert b"unexpected error" not in answer.body, about
        assert answer.body, about
    assert len(answer.body) < 4 << 20, f"{len(answer.body)} bytes of error for {about}"


def world() -> Iterator[World]:
    """For a module's fixture."""
    made = World()
    yield made
    made.close()
