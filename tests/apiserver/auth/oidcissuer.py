"""An OpenID Connect issuer for tests: discovery and keys over TLS on loopback, and a pen to sign with."""

from __future__ import annotations

import ssl
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any

from aiohttp import web
from joserfc import jwk, jwt

from sampan.aio.clock import SystemClock
from sampan.lib import pki


@cache
def authority() -> tuple[pki.Pair, pki.Pair]:
    """The issuer's CA and its certificate."""
    now = SystemClock().now()
    ca = pki.new_ca("issuer", now=now)
    return ca, pki.issue(ca, pki.server_names(), ("digital signature", "server auth"), now=now)


class TestIssuer:
    """What it publishes can be changed while it runs."""

    __test__ = False

    def __init__(self) -> None:
        self.url, self.asked = "", 0
        self.key: Any = _ec("one")
        self.published: list[dict[str, Any]] = [self.key.as_dict(private=False)]
        self.document: dict[str, Any] = {}

    def at(self, url: str) -> None:
        self.url = url
        self.document = {"issuer": url, "jwks_uri": f"{url}/keys"}

    @property
    def ca(self) -> str:
        return authority()[0].certificate.decode()

    def rotate(self, name: str, *, publish: bool = True) -> None:
        self.key = _ec(name)
        if publish:
            self.published = [self.key.as_dict(private=False)]

    def token(self, *, algorithm: str = "ES256", **claims: Any) -> str:
        now = int(SystemClock().now().timestamp())
        body = {"iss": self.url, "aud": "sampan", "sub": "jane", "exp": now + 600, **claims}
        return jwt.encode({"alg": algorithm, "kid": self.key.kid}, {key: value for key, value in body.items() if value is not None}, self.key,
                          algorithms=[algorithm])

    async def discover(self, _: web.Request) -> web.Response:
        return web.json_response(self.document)

    async def keys(self, _: web.Request) -> web.Response:
        self.asked += 1
        return web.json_response({"keys": self.published})


def _ec(name: str) -> Any:
    return jwk.ECKey.generate_key("P-256", {"kid": name, "use": "sig"})


@asynccontextmanager
async def issuer() -> AsyncIterator[TestIssuer]:
    """A running one."""
    with tempfile.TemporaryDirectory(prefix="sampan-test-") as folder:
        certificate, key = Path(folder, "tls.crt"), Path(folder, "tls.key")
        certificate.write_bytes(authority()[1].certificate)
        key.write_bytes(authority()[1].key)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate, key)
    made = TestIssuer()
    app = web.Application()
    app.router.add_get("/.well-known/openid-configuration", made.discover)
    app.router.add_get("/keys", made.keys)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    made.at(f"https://127.0.0.1:{runner.addresses[0][1]}")
    try:
        yield made
    finally:
        await runner.cleanup()
