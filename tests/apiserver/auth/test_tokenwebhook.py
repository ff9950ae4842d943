"""A server that asks another real one whose tokens are."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from sampan.aio.clock import SystemClock
from sampan.api import codec
from sampan.apiserver.auth.authenticators import Sources, TokenWebhook
from sampan.apiserver.auth.tokens import BadCredentials
from sampan.apiserver.auth.tokenwebhook import WebhookTokens
from sampan.apiserver.request import User
from sampan.client.kubeconfig import Access
from sampan.testing.https import served
from sampan.testing.ports import free_port
from sampan.testing.server import LEAN, running_server
from sampan.testing.waiting import PATIENCE_SECONDS

pytestmark = pytest.mark.slow
REVIEWS = "/apis/authentication.k8s.io/v1/tokenreviews"
JANE = User("jane", "u1", ("dev", "system:authenticated"), {"a.b/c": ("1", "2")})


def test_a_token_that_another_server_knows_is_good_here() -> None:
    async def whole() -> None:
        async with asyncio.timeout(PATIENCE_SECONDS), served(settings=replace(LEAN, users={"jane-token": JANE})) as (remote, access):
            hook = TokenWebhook(replace(access, server=access.server + REVIEWS), "v1")
            async with running_server(settings=replace(LEAN, sources=Sources(webhook=hook))) as server:
                async def who(token: str) -> tuple[int, dict[str, object]]:
                    answer = await server.client_with(authorization=f"Bearer {token}").raw(
                        "POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", headers={"Content-Type": "application/json"},
                        body=b'{"apiVersion":"authentication.k8s.io/v1","kind":"SelfSubjectReview"}')
                    return answer.code, codec.loads(answer.body)

                code, review = await who("jane-token")
                # who has no rights may not even ask who he is, but he is known: 403, not 401
                assert (code, 'User "jane"' in str(review["message"])) == (403, True)
                assert (await who("nobodys-token"))[0] == 401
                # answers are kept: the other server is not needed again
                before = _reviews(await remote.client.raw("GET", "/metrics"))
                assert (await who("jane-token"))[0] == 403
                assert (await who("nobodys-token"))[0] == 401
                assert _reviews(await remote.client.raw("GET", "/metrics")) == before

    asyncio.run(whole())


def _reviews(metrics: object) -> list[str]:
    return [line for line in metrics.body.decode().splitlines() if 'resource="tokenreviews"' in line]  # type: ignore[attr-defined]


def test_all_of_a_user_comes_over_and_audiences_are_held_to() -> None:
    async def whole() -> None:
        async with asyncio.timeout(PATIENCE_SECONDS), served(settings=replace(LEAN, users={"t": JANE})) as (_, access):
            tokens = WebhookTokens(replace(access, server=access.server + REVIEWS), SystemClock(), ["https://kubernetes.default.svc"], version="v1")
            try:
                answer = await tokens.authenticate_token("t", ["https://kubernetes.default.svc"])
                assert answer is not None
                assert (answer.user, answer.audiences) == (JANE, ("https://kubernetes.default.svc",))
                with pytest.raises(BadCredentials):
                    await tokens.authenticate_token("t", ["other"])
            finally:
                await tokens.close()

    asyncio.run(whole())


def test_a_webhook_that_is_not_there_makes_no_token_good_and_nothing_is_remembered() -> None:
    class Quick(SystemClock):
        async def sleep(self, seconds: float) -> None:
            pauses.append(seconds)

    pauses: list[float] = []

    async def whole() -> None:
        tokens = WebhookTokens(Access(f"https://127.0.0.1:{free_port()}/x"), Quick(), ["a"])
        for _ in range(2):
            with pytest.raises(BadCredentials) as caught:
                await tokens.authenticate_token("t", ["a"])
            assert "Cannot connect" in caught.value.why
        await tokens.close()

    asyncio.run(whole())
    assert pauses == [0.5, 0.75, 1.125, 1.6875] * 2
