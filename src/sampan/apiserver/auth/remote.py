"""Reviews that another server answers: one POST of JSON to the address that a kubeconfig gives.

Owns the connection (kept), tries and their pauses, and bounds of time and size. Leaves what is asked to `tokenwebhook` and
`authzwebhook`. Source: apiserver `pkg/util/webhook/{webhook,gencerts}.go`.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sampan.aio.clock import AsyncClock
from sampan.api import codec
from sampan.client.kubeconfig import Access
from sampan.lib.errors import ConfigError

if TYPE_CHECKING:
    import aiohttp

TRIES = 5
FIRST_PAUSE_SECONDS = 0.5
LONGER = 1.5
MOST_BYTES = 1 << 20
MOST_CONNECTIONS = 100


class NoAnswer(Exception):
    """The other server could not be asked, or gave no review."""


def access_of(path: Path, what: str) -> Access:
    """What a kubeconfig file says about a webhook; `what` names the file in messages.

    Raises:
        ConfigError: It says nothing that can be used.
    """
    from sampan.client import kubeconfig
    from sampan.client.tls import tls_context

    try:
        access = kubeconfig.read(path)
        tls_context(access)
    except ConfigError as error:
        raise ConfigError(f"{what} {path}: {error.message}", hint=error.hint) from None
    except (OSError, ValueError) as error:  # the ssl module's are both
        raise ConfigError(f"{what} {path}: its certificates or keys can't be used: {error}") from None
    return access


class RemoteReviews:
    """Asks one address."""

    def __init__(self, access: Access, clock: AsyncClock, *, seconds: float = 30.0) -> None:
        """`seconds`: how long one try may take."""
        self._access, self._clock, self._seconds = access, clock, seconds
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close the connections that are kept."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def status(self, review: dict[str, Any]) -> dict[str, Any]:
        """The `status` of the answered review.

        Raises:
            NoAnswer: There is none.
        """
        pause, body = FIRST_PAUSE_SECONDS, codec.encode(review)
        for left in range(TRIES - 1, -1, -1):
            try:
                return await self._once(review["kind"], body)
            except _TryAgain as error:
                if not left:
                    raise NoAnswer(str(error)) from None
            await self._clock.sleep(pause)
            pause *= LONGER
        raise AssertionError  # unreachable

    async def _once(self, kind: str, body: bytes) -> dict[str, Any]:
        import aiohttp
        import yarl

        shown = f'Post "{self._access.server}"'
        headers = {"Content-Type": "application/json", "Accept": "application/json", **await self._credentials()}
        try:
            async with asyncio.timeout(self._seconds), self._client().post(
                    yarl.URL(self._access.server, encoded=True), data=body, headers=headers, allow_redirects=False,
                    server_hostname=self._access.server_name or None) as answer:
                got = await answer.content.read(MOST_BYTES + 1)
                while len(got) <= MOST_BYTES and not answer.content.at_eof():
                    got += await answer.content.read(MOST_BYTES + 1 - len(got))
        except TimeoutError:
            raise _TryAgain(f"{shown}: context deadline exceeded") from None
        except (aiohttp.ClientError, OSError) as error:
            raise _TryAgain(f"{shown}: {str(error) or type(error).__name__}") from error
        if answer.status == 429 or answer.status >= 500:
            raise _TryAgain(f"{shown}: the webhook answered {answer.status}")
        if answer.status not in (200, 201):
            raise NoAnswer(f"{shown}: the webhook answered {answer.status}")
        try:
            value = codec.loads(got[:MOST_BYTES])
        except (codec.DecodeError, UnicodeDecodeError, RecursionError):
            raise NoAnswer(f"{shown}: the answer is no JSON") from None
        if not isinstance(value, dict) or value.get("kind", kind) != kind or not isinstance(value.get("status"), dict):
            raise NoAnswer(f"{shown}: the answer is no {kind} with a status")
        status: dict[str, Any] = value["status"]
        return status

    async def _credentials(self) -> dict[str, str]:
        token = self._access.token
        if self._access.token_file:
            token = (await asyncio.to_thread(Path(self._access.token_file).read_text)).strip()
        return {"Authorization": f"Bearer {token}"} if token else {}

    def _client(self) -> aiohttp.ClientSession:
        if self._session is None:
            import aiohttp

            from sampan.client.tls import tls_context

            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=MOST_CONNECTIONS, ssl=tls_context(self._access)), cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=None), headers={"User-Agent": "kube-apiserver"}, skip_auto_headers=("User-Agent",))
        return self._session


class _TryAgain(Exception):
    """This try was in vain."""
