"""Reviews that another server answers, well and badly."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from sampan.aio.clock import SystemClock
from sampan.apiserver.auth.remote import MOST_BYTES, NoAnswer, RemoteReviews, access_of
from sampan.client.kubeconfig import Access
from sampan.lib.errors import ConfigError
from sampan.testing.waiting import PATIENCE_SECONDS

pytestmark = pytest.mark.slow
REVIEW = {"kind": "TokenReview", "apiVersion": "authentication.k8s.io/v1", "spec": {}}
GOOD = (200, '{"kind":"TokenReview","status":{"authenticated":true}}')


class Quick(SystemClock):
    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)


@asynccontextmanager
async def answering(answers: Sequence[tuple[int, str]]) -> AsyncIterator[tuple[RemoteReviews, list[web.Request]]]:
    asked: list[web.Request] = []

    async def answer(request: web.Request) -> web.Response:
        status, text = answers[min(len(asked), len(answers) - 1)]
        asked.append(request)
        return web.Response(status=status, text=text, content_type="application/json")

    app = web.Application()
    app.router.add_post("/reviews", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    reviews = RemoteReviews(Access(f"http://127.0.0.1:{runner.addresses[0][1]}/reviews", token="mine"), Quick())
    try:
        yield reviews, asked
    finally:
        await reviews.close()
        await runner.cleanup()


@pytest.mark.parametrize(("answers", "tries"), [([GOOD], 1), ([(503, ""), (429, ""), GOOD], 3)])
def test_an_answer_comes_after_a_few_tries(answers: list[tuple[int, str]], tries: int) -> None:
    async def whole() -> None:
        async with asyncio.timeout(PATIENCE_SECONDS), answering(answers) as (reviews, asked):
            assert await reviews.status(REVIEW) == {"authenticated": True}
            assert len(asked) == tries
            assert asked[0].headers["Authorization"] == "Bearer mine"

    asyncio.run(whole())


@pytest.mark.parametrize(("answer", "tries", "why"), [
    ((500, ""), 5, "answered 500"), ((403, ""), 1, "answered 403"), ((302, ""), 1, "answered 302"), ((200, "x"), 1, "no JSON"),
    ((200, '{"kind":"Pod","status":{}}'), 1, "no TokenReview"), ((200, '{"status":1}'), 1, "no TokenReview"),
    ((200, '"' + "x" * MOST_BYTES + '"'), 1, "no JSON"),
])
def test_what_is_no_answer_is_said(answer: tuple[int, str], tries: int, why: str) -> None:
    async def whole() -> None:
        async with asyncio.timeout(PATIENCE_SECONDS), answering([answer]) as (reviews, asked):
            with pytest.raises(NoAnswer, match=why):
                await reviews.status(REVIEW)
            assert len(asked) == tries

    asyncio.run(whole())


@pytest.mark.parametrize(("text", "why"), [
    ("a: b", "--flag {}: the kubeconfig has no current context"), ("[", "--flag {}: {} can't be read"),
    ("""
clusters: [{name: a, cluster: {server: https://x, certificate-authority-data: eA==}}]
contexts: [{name: a, context: {cluster: a}}]
current-context: a
""", "--flag {}: its certificates or keys can't be used"),
])
def test_a_kubeconfig_that_can_not_be_used_is_told_with_its_flag(tmp_path: Path, text: str, why: str) -> None:
    path = tmp_path / "webhook.kubeconfig"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        access_of(path, "--flag")
    assert caught.value.message.startswith(why.replace("{}", str(path)))
