"""OpenID Connect: tokens of issuers outside, verified with the keys that they publish.

Owns discovery, the keys (kept, fetched anew when a token names an unknown one, and once an hour), and the checks of issuer,
audience and time. Leaves signatures to `joserfc`, what claims mean to `claims`. What an issuer sends is bounded in size and
time; an issuer that can't be reached costs its own tokens only.
Source: kubernetes `plugin/pkg/auth/authenticator/token/oidc`; go-oidc; OpenID Connect Discovery 1.0.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import ssl
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from sampan.api import codec
from sampan.apiserver.auth import claims
from sampan.apiserver.auth.jwt import unverified_claims
from sampan.apiserver.auth.jwtconfig import JwtAuthenticator
from sampan.apiserver.auth.remembered import Remembered
from sampan.apiserver.auth.tokens import BadCredentials, TokenAnswer
from sampan.apiserver.request import User
from sampan.lib.clock import Clock

log = logging.getLogger(__name__)

FETCH_SECONDS = 10.0
MOST_BYTES = 1 << 20
KEYS_SECONDS = 3600.0
AGAIN_SECONDS = 5.0
"""So often, at most, an issuer is asked because of a token whose key is not known."""
EARLY_SECONDS = 300.0
KEPT_SECONDS = 10.0


class Unreachable(Exception):
    """The issuer gave no keys."""


class Keys:
    """The public keys of one issuer."""

    def __init__(self, one: JwtAuthenticator, clock: Clock) -> None:
        self._issuer, self._clock = one.issuer, clock
        self._keys: list[Any] = []
        self._asked: float | None = None
        self._lock = asyncio.Lock()
        self._context: ssl.SSLContext | None = None

    async def fitting(self, key_id: str) -> list[Any]:
        """The keys of this id, all where it is empty; asked for anew where none is known or they are old.

        Raises:
            Unreachable: There never were any.
        """
        found = self._of(key_id)
        if not found and self._lock.locked():  # somebody else is asking just now
            async with self._lock:
                found = self._of(key_id)
        if (not found and self._may_ask(AGAIN_SECONDS)) or self._may_ask(KEYS_SECONDS):
            await self._refresh(self._asked)
            found = self._of(key_id)
        if not self._keys:
            raise Unreachable("oidc: authenticator not initialized")
        return found

    async def again(self) -> bool:
        """Ask the issuer for its keys once more, if that was not done just now."""
        if not self._may_ask(AGAIN_SECONDS):
            return False
        await self._refresh(self._asked)
        return True

    def _of(self, key_id: str) -> list[Any]:
        return [key for key in self._keys if not key_id or key.kid in (None, key_id)]

    def _may_ask(self, seconds: float) -> bool:
        return self._asked is None or self._clock.monotonic() - self._asked >= seconds

    async def _refresh(self, seen: float | None) -> None:
        async with self._lock:
            if self._asked != seen:
                return  # somebody else has just asked
            self._asked = self._clock.monotonic()
            try:
                self._keys = await self._fetch()
            except asyncio.CancelledError:  # whoever asked has left: the next one may ask
                self._asked = seen
                raise
            except Unreachable as error:  # the keys that are known go on to count
                log.error("oidc: the issuer's keys can't be had", extra={"issuer": self._issuer.url, "why": str(error)})

    async def _fetch(self) -> list[Any]:
        import aiohttp
        from joserfc.errors import JoseError
        from joserfc.jwk import JWKRegistry

        url = self._issuer.discoveryURL or f"{self._issuer.url.rstrip('/')}/.well-known/openid-configuration"
        timeout = aiohttp.ClientTimeout(total=FETCH_SECONDS)
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=self._tls()), timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()) as session:
            found = await _json(session, url)
            if found.get("issuer") != self._issuer.url:
                raise Unreachable(f'oidc: issuer did not match the issuer returned by provider, expected "{self._issuer.url}" got "{found.get("issuer")}"')
            keys_url = found.get("jwks_uri")
            if not isinstance(keys_url, str) or urlsplit(keys_url).scheme != "https":
                raise Unreachable("oidc: the provider's jwks_uri is no https URL")
            listed = (await _json(session, keys_url)).get("keys")
        keys = []
        for one in listed if isinstance(listed, list) else ():
            try:
                if isinstance(one, dict) and one.get("kty") in ("RSA", "EC") and one.get("use", "sig") == "sig":
                    keys.append(JWKRegistry.import_key(one))
            except (JoseError, ValueError, TypeError, KeyError) as error:
                log.warning("oidc: a published key can't be used", extra={"issuer": self._issuer.url, "why": type(error).__name__})
        if not keys:
            raise Unreachable("oidc: the provider publishes no key that can be used")
        return keys

    def _tls(self) -> ssl.SSLContext:
        if self._context is None:
            self._context = ssl.create_default_context(cadata=self._issuer.certificateAuthority or None)
        return self._context


async def _json(session: Any, url: str) -> dict[str, Any]:
    import aiohttp

    try:
        async with session.get(url, allow_redirects=False) as answer:
            if answer.status != 200:
                raise Unreachable(f"{url}: {answer.status} {answer.reason}")
            body = await answer.content.read(MOST_BYTES + 1)
            while len(body) <= MOST_BYTES and not answer.content.at_eof():
                body += await answer.content.read(MOST_BYTES + 1 - len(body))
        if len(body) > MOST_BYTES:
            raise Unreachable(f"{url}: the answer is larger than {MOST_BYTES} bytes")
        value = codec.loads(body)
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise Unreachable(f"{url}: {str(error) or type(error).__name__}") from None
    except (codec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Unreachable(f"{url}: the answer is no JSON") from None
    if not isinstance(value, dict):
        raise Unreachable(f"{url}: the answer is no JSON object")
    return value


class OidcTokens:
    """The tokens of one issuer."""

    def __init__(self, one: JwtAuthenticator, clock: Clock, audiences: Sequence[str]) -> None:
        """`audiences`: the API server's own, for which every good token counts."""
        self._one, self._clock, self._audiences = one, clock, tuple(audiences)
        self._keys = Keys(one, clock)
        self._known: Remembered[User] = Remembered(clock)

    async def authenticate_token(self, token: str, audiences: Sequence[str]) -> TokenAnswer | None:
        """Whose it is; None for another issuer's.

        Raises:
            BadCredentials: It is this issuer's and not good.
        """
        digest = hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
        user = self._known.get(digest)
        if user is None:
            unproved = unverified_claims(token)
            if unproved is None or unproved.get("iss") != self._one.issuer.url:
                return None
            try:
                found = await self._verified(token)
            except Unreachable as error:
                raise BadCredentials(str(error)) from None
            left = self._judge(found)
            try:
                user = claims.user_of(self._one, found)
            except claims.Unacceptable as error:
                raise BadCredentials(str(error)) from None
            self._known.put(digest, user, min(KEPT_SECONDS, left))
        good = tuple(audience for audience in audiences if audience in self._audiences)
        return TokenAnswer(user, good) if good else None

    async def _verified(self, token: str) -> dict[str, Any]:
        """The claims, once a published key has been found to have signed them."""
        from joserfc import jws
        from joserfc.errors import JoseError

        try:
            header = jws.extract_compact(token.encode()).headers()
        except (JoseError, ValueError, TypeError) as error:
            raise BadCredentials("oidc: verify token: oidc: malformed jwt") from error
        algorithm, key_id = header.get("alg"), header.get("kid") or ""
        if algorithm not in self._one.algorithms:
            raise BadCredentials(f"oidc: verify token: oidc: id token signed with unsupported algorithm, expected {_go(self._one.algorithms)} "
                                 f'got "{algorithm}"')
        keys = await self._keys.fitting(key_id if isinstance(key_id, str) else "")
        for last in (False, True):
            for key in keys:
                try:
                    value = codec.loads(jws.deserialize_compact(token, key, algorithms=[algorithm]).payload)
                except (JoseError, ValueError, TypeError):
                    continue  # another key's: the next
                if isinstance(value, dict):
                    return value
            if last or not await self._keys.again():  # a key may have been replaced under its old name
                break
            keys = await self._keys.fitting(key_id)
        raise BadCredentials("oidc: verify token: failed to verify signature: failed to verify id token signature")

    def _judge(self, found: dict[str, Any]) -> float:
        """How long the token is good; its issuer, audience and times are as they should be.

        Raises:
            BadCredentials: They are not.
        """
        issuer, now = self._one.issuer, self._clock.now().timestamp()
        if found.get("iss") != issuer.url:
            raise BadCredentials(f'oidc: verify token: oidc: id token issued by a different provider, expected "{issuer.url}" got "{found.get("iss")}"')
        given = found.get("aud")
        audiences = given if isinstance(given, list) else [given]
        if not any(audience in issuer.audiences for audience in audiences if isinstance(audience, str)):
            shown = _go([str(one) for one in audiences if one is not None])
            raise BadCredentials(f"oidc: verify token: oidc: expected audience in {_go(issuer.audiences)} got {shown}")
        expires, start = found.get("exp"), found.get("nbf")
        if expires is None or not _is_number(expires) or float(expires) < now:
            raise BadCredentials("oidc: verify token: oidc: token is expired")
        if start is not None and not (_is_number(start) and float(start) <= now + EARLY_SECONDS):
            raise BadCredentials("oidc: verify token: oidc: current time before the nbf (not before) time")
        return float(expires) - now


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _go(texts: Sequence[str]) -> str:
    return "[" + " ".join(f'"{text}"' for text in texts) + "]"
