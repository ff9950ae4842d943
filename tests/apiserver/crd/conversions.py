"""A real conversion webhook on loopback: v1 keeps `size` at the top, v2 in `spec`, v3 in words."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from api_asking import Asker
from apiserver.aggregation.extensions import Files, authority, files
from apiserver.crd.definitions import definition, version
from sampan.api import codec
from sampan.testing.server import running_server
from sampan.testing.waiting import PATIENCE_SECONDS

Answer = Callable[[dict[str, Any]], Any]
TOP = {"type": "object", "properties": {"size": {"type": "integer"}, "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}}
SPEC = {"type": "object", "properties": {
    "spec": {"type": "object", "properties": {"size": {"type": "integer"}, "color": {"type": "string", "default": "grey"}}},
    "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}}


def convert(obj: dict[str, Any], desired: str) -> dict[str, Any]:
    """What a sensible webhook does: annotations keep what the other version can't say."""
    new = codec.loads(codec.encode(obj))
    new["apiVersion"] = desired
    was, wanted = obj["apiVersion"].rpartition("/")[2], desired.rpartition("/")[2]
    notes = new["metadata"].setdefault("annotations", {})
    if (was, wanted) == ("v1", "v2"):
        new["spec"] = {"size": new.pop("size", 0), "color": notes.pop("color", "grey")}
    elif (was, wanted) == ("v2", "v1"):
        spec = new.pop("spec", {})
        new["size"], notes["color"] = spec.get("size", 0), spec.get("color", "grey")
    new["metadata"].setdefault("labels", {})["seen-as"] = wanted
    return new  # type: ignore[no-any-return]


def converted(review: dict[str, Any]) -> dict[str, Any]:
    """The response."""
    request = review["request"]
    return {"uid": request["uid"], "result": {"status": "Success"},
            "convertedObjects": [convert(one, request["desiredAPIVersion"]) for one in request["objects"]]}


@dataclass
class Webhook:
    port: int = 0
    seen: list[tuple[str, list[str]]] = field(default_factory=list)
    """Desired version and names, a request."""
    reply: Answer = converted
    hold: asyncio.Event | None = None
    arrived: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))

    async def answer(self, request: web.Request) -> web.Response:
        review = codec.loads(await request.read())
        self.seen.append((review["request"]["desiredAPIVersion"].rpartition("/")[2], [one["metadata"]["name"] for one in review["request"]["objects"]]))
        self.arrived.release()
        if self.hold is not None:
            await self.hold.wait()
        reply = self.reply(review)
        if isinstance(reply, bytes):
            return web.Response(body=reply)
        if isinstance(reply, int):
            return web.Response(status=reply, text="broken")
        if "kind" not in reply:
            reply = {"kind": "ConversionReview", "apiVersion": review["apiVersion"], "response": reply}
        return web.Response(body=codec.encode(reply), content_type="application/json")

    def conversion(self, **more: Any) -> dict[str, Any]:
        """`spec.conversion` that leads here."""
        bundle = base64.b64encode(authority("extension-ca").certificate).decode()
        config = {"url": f"https://localhost:{self.port}/convert", "caBundle": bundle} | more
        return {"strategy": "Webhook", "webhook": {"clientConfig": config, "conversionReviewVersions": ["v1"]}}

    def definition(self, *, storage: str = "v1", **more: Any) -> dict[str, Any]:
        """gears.example.com with v1 and v2."""
        subs = {"subresources": {"status": {}, "scale": {"specReplicasPath": ".spec.size", "statusReplicasPath": ".status.size"}}}
        columns = {"additionalPrinterColumns": [{"name": "Size", "type": "integer", "jsonPath": ".spec.size"}]}
        selectable = {"selectableFields": [{"jsonPath": ".spec.color"}]}
        return definition(version("v1", storage=storage == "v1", schema=TOP, subresources={"status": {}}),
                          version("v2", storage=storage == "v2", schema=SPEC, **subs, **columns, **selectable), conversion=self.conversion(), **more)


@asynccontextmanager
async def webhook(there: Files) -> AsyncIterator[Webhook]:
    import ssl

    hook = Webhook()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*there.pair("extension-ca", "localhost", "server auth"))
    app = web.Application(client_max_size=64 << 20)
    app.router.add_post("/convert", hook.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0)
    await runner.setup()
    await web.TCPSite(runner, "localhost", 0, ssl_context=context).start()
    hook.port = runner.addresses[0][1]
    try:
        yield hook
    finally:
        if hook.hold is not None:
            hook.hold.set()
        await runner.cleanup()


def with_webhook(check: Callable[[Asker, Webhook], Awaitable[None]]) -> None:
    """Run a check on a server and a webhook, within a deadline."""

    async def run() -> None:
        async with asyncio.timeout(PATIENCE_SECONDS), files() as there, webhook(there) as hook, running_server() as server:
            await check(Asker(server), hook)

    asyncio.run(run())
