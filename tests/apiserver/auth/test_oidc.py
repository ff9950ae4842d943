"""Tokens of an issuer over TLS: what is believed, and how keys come and go."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
from joserfc import jwk, jwt

from apiserver.auth.oidcissuer import TestIssuer, issuer
from sampan.aio.clock import SystemClock, VirtualClock
from sampan.api import codec
from sampan.apiserver.auth.authenticators import Sources
from sampan.apiserver.auth.jwtconfig import ClaimMappings, Issuer, JwtAuthenticator, PrefixedClaim
from sampan.apiserver.auth.oidc import AGAIN_SECONDS, OidcTokens
from sampan.apiserver.auth.tokens import BadCredentials
from sampan.testing.server import LEAN, running_server
from sampan.testing.waiting import PATIENCE_SECONDS

pytestmark = pytest.mark.slow
API = "https://kubernetes.default.svc"


def authenticator(of: TestIssuer, **more: Any) -> JwtAuthenticator:
    return JwtAuthenticator(
        issuer=Issuer(url=of.url, audiences=["sampan"], certificateAuthority=of.ca),
        claimMappings=ClaimMappings(username=PrefixedClaim("sub", "oidc:"), groups=PrefixedClaim("groups", "oidc:")), **more)


def with_issuer(test: Callable[[TestIssuer, OidcTokens], Awaitable[None]], clock: Any = None) -> None:
    async def whole() -> None:
        async with asyncio.timeout(PATIENCE_SECONDS), issuer() as running:
            await test(running, OidcTokens(authenticator(running), clock or SystemClock(), [API]))
    asyncio.run(whole())


async def refused(tokens: OidcTokens, token: str) -> str:
    with pytest.raises(BadCredentials) as caught:
        await tokens.authenticate_token(token, [API])
    return caught.value.why


def test_a_signed_token_is_its_users() -> None:
    async def test(of: TestIssuer, tokens: OidcTokens) -> None:
        answer = await tokens.authenticate_token(of.token(groups=["a", "b"]), [API, "other"])
        assert answer is not None
        assert (answer.user.name, answer.user.groups, answer.audiences) == ("oidc:jane", ("oidc:a", "oidc:b"), (API,))
        # for another audience than the API server's, or of another issuer, it is nobody's
        assert await tokens.authenticate_token(of.token(), ["other"]) is None
        assert await tokens.authenticate_token(of.token(iss="https://else"), [API]) is None
        assert await tokens.authenticate_token("opaque", [API]) is None
    with_issuer(test)


def test_what_is_not_as_it_should_be_is_refused() -> None:
    async def test(of: TestIssuer, tokens: OidcTokens) -> None:
        now = int(SystemClock().now().timestamp())
        assert 'expected audience in ["sampan"] got ["else"]' in await refused(tokens, of.token(aud="else"))
        assert "token is expired" in await refused(tokens, of.token(exp=now - 1))
        assert "token is expired" in await refused(tokens, of.token(exp=None))
        assert "before the nbf" in await refused(tokens, of.token(nbf=now + 900))
        assert "claim not present" in await refused(tokens, of.token(sub=None))
        head, body, signature = of.token().split(".")
        assert "failed to verify" in await refused(tokens, f"{head}.{body}.{signature[:-4]}AAAA")
        other = of.token(sub="root").split(".")[1]
        assert "failed to verify" in await refused(tokens, f"{head}.{other}.{signature}")
    with_issuer(test)


def test_a_token_without_a_signature_or_signed_with_the_public_key_as_a_secret_is_refused() -> None:
    async def test(of: TestIssuer, tokens: OidcTokens) -> None:
        body = of.token().split(".")[1]
        none = "eyJhbGciOiJub25lIn0"
        assert "unsupported algorithm" in await refused(tokens, f"{none}.{body}.")
        secret = jwk.OctKey.import_key(codec.encode(of.published[0]))
        forged = jwt.encode({"alg": "HS256", "kid": "one"}, codec.loads(b'{"iss":"%b","aud":"sampan","sub":"x","exp":9999999999}' % of.url.encode()), secret)
        assert "unsupported algorithm" in await refused(tokens, forged)
    with_issuer(test)


def test_a_new_key_is_fetched_when_a_token_names_it_and_not_more_often_than_that() -> None:
    clock = VirtualClock(SystemClock().now())

    async def test(of: TestIssuer, tokens: OidcTokens) -> None:
        assert await tokens.authenticate_token(of.token(), [API])
        old = of.token(sub="old")
        of.rotate("two")
        await clock.advance(AGAIN_SECONDS)
        assert await tokens.authenticate_token(of.token(), [API])
        assert of.asked == 2
        # when somebody sends tokens with keys that nobody has, the issuer is not asked for each
        of.rotate("three", publish=False)
        for number in range(5):
            assert "failed to verify" in await refused(tokens, of.token(sub=str(number)))
        assert of.asked == 2
        # and a key that is published no longer counts no longer
        assert "failed to verify" in await refused(tokens, old)
    with_issuer(test, clock)


def test_an_issuer_that_is_another_or_not_there_costs_its_tokens_only() -> None:
    async def test(of: TestIssuer, tokens: OidcTokens) -> None:
        of.document["issuer"] = "https://else"
        assert await refused(tokens, of.token()) == "oidc: authenticator not initialized"
        assert await tokens.authenticate_token("opaque", [API]) is None
    with_issuer(test)

    async def untrusted() -> None:
        async with issuer() as running:
            one = authenticator(running)
            one.issuer.certificateAuthority = ""
            assert await refused(OidcTokens(one, SystemClock(), [API]), running.token()) == "oidc: authenticator not initialized"
    asyncio.run(untrusted())


def test_a_server_believes_its_issuer_and_takes_nobody_elsewhere_than_it_should() -> None:
    async def whole() -> None:
        async with asyncio.timeout(PATIENCE_SECONDS), issuer() as running:
            sources = Sources(issuers=(authenticator(running),), anonymous_paths=("/livez",))
            async with running_server(settings=replace(LEAN, sources=sources)) as server:
                async def code(path: str, token: str = "") -> int:
                    headers = {"authorization": f"Bearer {token}"} if token else {}
                    return (await server.client_with(**headers).raw("GET", path)).code

                assert await code("/api/v1/namespaces", running.token()) == 403  # known, without rights
                assert await code("/api/v1/namespaces", running.token(aud="else")) == 401
                assert [await code("/livez"), await code("/version"), await code("/api/v1/namespaces")] == [403, 401, 401]
    asyncio.run(whole())


def test_many_tokens_at_once_wait_for_the_one_question_about_keys() -> None:
    async def test(of: TestIssuer, tokens: OidcTokens) -> None:
        asking = [tokens.authenticate_token(of.token(sub=str(number)), [API]) for number in range(10)]
        answers = await asyncio.gather(*asking)
        assert [answer.user.name for answer in answers if answer] == [f"oidc:{number}" for number in range(10)]
        assert of.asked == 1
    with_issuer(test)


def test_who_leaves_while_keys_are_fetched_leaves_the_question_to_the_next() -> None:
    async def test(of: TestIssuer, tokens: OidcTokens) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await tokens.authenticate_token(of.token(), [API])
        assert await tokens.authenticate_token(of.token(), [API])
    with_issuer(test)
