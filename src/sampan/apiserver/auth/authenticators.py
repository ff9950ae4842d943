"""Who is asking: client certificates, then bearer tokens, then nobody (anonymous).

Owns the x509 authenticator and the union that answers a request. Credentials that are not good are 401, no credentials
are system:anonymous, as upstream. Leaves what may be done anonymously to RBAC.
Source: apiserver `authentication/request/{x509,union,anonymous}`, kubernetes `pkg/kubeapiserver/authenticator`.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import NamedTuple

from sampan.api.errors import Unauthorized
from sampan.apiserver.auth.base import Authenticator
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

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._known: dict[bytes, _Known] = {}

    async def authenticate(self, request: RequestInfo) -> User | None:
        """CN is the name, O are the groups. A connection may outlive its certificate: the time is judged each time.

        Raises:
            BadCredentials: The certificate has expired or is not valid yet.
        """
        der = request.peer_certificate
        if not der:
            return None
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

    def __init__(self, chain: Sequence[Authenticator], *, anonymous: bool = True) -> None:
        self._chain, self._anonymous = tuple(chain), anonymous

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
        if not self._anonymous:
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


def default_authenticators(readers: Readers, clock: Clock, issuer: Issuer, *, users: dict[str, User] | None = None,
                           further: Sequence[TokenAuthenticator] = (), anonymous: bool = True) -> Identities:
    """Certificates, the token file's `users`, service accounts, bootstrap tokens, then `further` (OIDC, webhooks)."""
    accounts = ServiceAccountTokens(issuer, readers, clock)
    audience = issuer.audiences[0]
    known: list[TokenAuthenticator] = [TokenFile(users, audience)] if users else []
    tokens = TokenUnion([*known, accounts, BootstrapTokens(readers, clock, audience), *further])
    chain = (Certificates(clock), BearerTokens(tokens, issuer.audiences))
    return Identities(Authenticators(chain, anonymous=anonymous), tokens, accounts)
