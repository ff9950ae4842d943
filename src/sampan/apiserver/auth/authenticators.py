"""Who is asking: client certificates, then bearer tokens, then nobody (anonymous).

Owns the x509 authenticator, the union that answers a request, and what is configured beyond the defaults. Credentials that are not good are 401, no credentials
are system:anonymous, as upstream. Leaves what may be done anonymously to RBAC.
Source: apiserver `authentication/request/{x509,union,anonymous}`, kubernetes `pkg/kubeapiserver/authenticator`.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import NamedTuple

from sampan.aio.clock import AsyncClock
from sampan.api.errors import Unauthorized
from sampan.apiserver.auth.base import Authenticator
from sampan.apiserver.auth.jwtconfig import JwtAuthenticator
from sampan.apiserver.auth.requestheader import Authority, HeaderUsers, RequestHeaders
from sampan.apiserver.auth.serviceaccounts import Issuer, ServiceAccountTokens
from sampan.apiserver.auth.tokens import (
    AUTHENTICATED,
    DEFAULT_AUDIENCE,
    UNAUTHENTICATED,
    BadCredentials,
    BootstrapTokens,
    TokenAuthenticator,
    TokenFile,
    TokenUnion,
    bearer_token,
)
from sampan.apiserver.request import ANONYMOUS, RequestInfo, User
from sampan.apiserver.watchcache import Readers
from sampan.client.kubeconfig import Access
from sampan.lib import pki
from sampan.lib.clock import Clock

log = logging.getLogger(__name__)

MOST_CERTIFICATES = 4096


class _Known(NamedTuple):
    user: User | None
    start: datetime
    end: datetime


class Certificates:
    """The name and groups of a client certificate, which the TLS handshake has verified."""

    def __init__(self, clock: Clock, authority: Authority | None = None) -> None:
        """`authority`: who must have issued them, where handshakes trust others too."""
        self._clock, self._authority = clock, authority
        self._known: dict[bytes, _Known] = {}

    async def authenticate(self, request: RequestInfo) -> User | None:
        """CN is the name, O are the groups. A connection may outlive its certificate: the time is judged each time.

        Raises:
            BadCredentials: The certificate has expired or is not valid yet.
        """
        der = request.peer_certificate
        if not der:
            return None
        if self._authority is not None and not self._authority.issued(der):
            raise BadCredentials("x509: certificate signed by unknown authority")
        known = self._known.get(der)
        if known is None:
            if len(self._known) >= MOST_CERTIFICATES:
                self._known.clear()
            known = self._known[der] = _read(der)
        if not known.start <= self._clock.now() <= known.end:
            raise BadCredentials("x509: certificate has expired or is not yet valid")
        return known.user


def _read(der: bytes) -> _Known:
    facts = pki.facts_of(der)
    names = facts.names
    user = None
    if names.common_name:
        extra = {"authentication.kubernetes.io/credential-id": (f"X509SHA256={hashlib.sha256(der).hexdigest()}",)}
        user = User(names.common_name, facts.uid, (*names.organizations, AUTHENTICATED), extra)
    return _Known(user, facts.not_before, facts.not_after)


class BearerTokens:
    """The token of the Authorization header (or of the WebSocket protocols of browsers)."""

    def __init__(self, tokens: TokenUnion, audiences: Sequence[str] = (DEFAULT_AUDIENCE,)) -> None:
        self.tokens, self.audiences = tokens, tuple(audiences)

    async def authenticate(self, request: RequestInfo) -> User | None:
        """Whose token it is.

        Raises:
            BadCredentials: Nobody's.
        """
        token = bearer_token(request)
        if not token:
            return None
        return (await self.tokens.authenticate_token(token, self.audiences)).user


class Authenticators:
    """All of them. The in-process client's user is taken as it is; it can't come from the network."""

    def __init__(self, chain: Sequence[Authenticator], *, anonymous: bool = True, anonymous_paths: Sequence[str] = ()) -> None:
        """`anonymous_paths`: where alone nobody may ask; none: everywhere."""
        self._chain, self._anonymous, self._paths = tuple(chain), anonymous, frozenset(anonymous_paths)

    async def authenticate(self, request: RequestInfo) -> User:
        """The first that knows the credentials decides.

        Raises:
            Unauthorized: There are credentials, none of them good; or there are none and anonymous is off.
        """
        if request.trusted_user is not None:
            return request.trusted_user
        failure: Unauthorized | None = None
        for authenticator in self._chain:
            try:
                user = await authenticator.authenticate(request)
            except Unauthorized as error:
                failure = failure or error
                continue
            if user is not None:
                return _with_group(user)
        if failure is not None:
            log.info("authentication failed", extra={"why": getattr(failure, "why", failure.message), "path": request.path})
            raise Unauthorized from failure
        if not self._anonymous or (self._paths and request.path not in self._paths):
            raise Unauthorized
        return ANONYMOUS


def _with_group(user: User) -> User:
    if AUTHENTICATED in user.groups or UNAUTHENTICATED in user.groups:
        return user
    return replace(user, groups=(*user.groups, AUTHENTICATED))


class Identities(NamedTuple):
    """What an API server needs to know who is asking."""

    authenticator: Authenticators
    tokens: TokenUnion
    service_accounts: ServiceAccountTokens


@dataclass(frozen=True)
class TokenWebhook:
    """`--authentication-token-webhook-*`."""

    access: Access
    version: str = "v1beta1"
    seconds: float = 120.0


@dataclass(frozen=True)
class Sources:
    """Where users come from beside certificates, the token file, service accounts and bootstrap tokens."""

    issuers: Sequence[JwtAuthenticator] = ()
    webhook: TokenWebhook | None = None
    headers: RequestHeaders | None = None
    anonymous_paths: Sequence[str] = ()


class Configured:
    """What `Sources` become."""

    def __init__(self, sources: Sources, clock: AsyncClock, audiences: Sequence[str], *, client_ca: bytes = b"") -> None:
        """`client_ca`: who issues clients' certificates, asked only where `headers` brings an authority of its own."""
        self.sources = sources
        self.tokens: list[TokenAuthenticator] = []
        self.first: list[Authenticator] = [HeaderUsers(sources.headers, clock)] if sources.headers else []
        self.authority = Authority(client_ca, "the clients' authority") if sources.headers else None
        if sources.issuers:
            from sampan.apiserver.auth.oidc import OidcTokens

            self.tokens += [OidcTokens(one, clock, audiences) for one in sources.issuers]
        self._webhook = None
        if (hook := sources.webhook) is not None:
            from sampan.apiserver.auth.tokenwebhook import WebhookTokens

            self._webhook = WebhookTokens(hook.access, clock, audiences, version=hook.version, seconds=hook.seconds)
            self.tokens.append(self._webhook)

    def trust(self, client_ca: bytes) -> None:
        """Take other authorities of clients from now on."""
        if self.authority is not None:
            self.authority.read(client_ca)

    async def close(self) -> None:
        """Close the connections that are kept."""
        if self._webhook is not None:
            await self._webhook.close()


def default_authenticators(readers: Readers, clock: Clock, issuer: Issuer, *, users: dict[str, User] | None = None,
                           configured: Configured | None = None, anonymous: bool = True) -> Identities:
    """Front proxies' headers, certificates, the token file's `users`, service accounts, bootstrap tokens, OIDC, a webhook."""
    accounts = ServiceAccountTokens(issuer, readers, clock)
    audience = issuer.audiences[0]
    known: list[TokenAuthenticator] = [TokenFile(users, audience)] if users else []
    tokens = TokenUnion([*known, accounts, BootstrapTokens(readers, clock, audience), *(configured.tokens if configured else ())])
    first, authority, paths = (configured.first, configured.authority, configured.sources.anonymous_paths) if configured else ([], None, ())
    chain = (*first, Certificates(clock, authority), BearerTokens(tokens, issuer.audiences))
    return Identities(Authenticators(chain, anonymous=anonymous, anonymous_paths=paths), tokens, accounts)
