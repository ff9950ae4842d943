"""Bearer tokens: what knows a token, and asking all of them.

Owns `TokenAuthenticator`, the token of a request, static token files and bootstrap tokens. Leaves service accounts'
tokens to `serviceaccounts`; OIDC and webhooks are further `TokenAuthenticator`s.
Source: apiserver `authentication/request/{bearertoken,websocket}`, `token/tokenfile`, kubernetes
`plugin/pkg/auth/authenticator/token/bootstrap`.
"""

from __future__ import annotations

import base64
import binascii
import csv
import hashlib
import hmac
import io
import logging
import re
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple, Protocol

from sampan.api.core.v1 import Secret
from sampan.api.errors import Unauthorized
from sampan.api.resources import SECRETS
from sampan.apiserver.request import RequestInfo, User
from sampan.apiserver.watchcache import Readers
from sampan.lib.clock import Clock
from sampan.lib.errors import ConfigError

log = logging.getLogger(__name__)

DEFAULT_AUDIENCE = "https://kubernetes.default.svc"
AUTHENTICATED = "system:authenticated"
UNAUTHENTICATED = "system:unauthenticated"
_WEBSOCKET_PREFIX = "base64url.bearer.authorization.k8s.io."


class BadCredentials(Unauthorized):
    """Credentials that are not good. The client is told "Unauthorized"; `why` is for token reviews and the log."""

    def __init__(self, why: str) -> None:
        super().__init__()
        self.why = why


class TokenAnswer(NamedTuple):
    """Whose a token is, and for which of the asked audiences."""

    user: User
    audiences: tuple[str, ...]


class TokenAuthenticator(Protocol):
    """Knows one sort of token."""

    async def authenticate_token(self, token: str, audiences: Sequence[str]) -> TokenAnswer | None:
        """Whose it is; None: not of this sort, or not for any of these audiences.

        Raises:
            BadCredentials: It is of this sort and not good.
        """
        ...


class TokenUnion:
    """The first that knows a token decides."""

    def __init__(self, authenticators: Sequence[TokenAuthenticator]) -> None:
        self._authenticators = tuple(authenticators)

    async def authenticate_token(self, token: str, audiences: Sequence[str]) -> TokenAnswer:
        """Whose it is.

        Raises:
            BadCredentials: Nobody knows it, or somebody does and it is not good.
        """
        errors = []
        for authenticator in self._authenticators:
            try:
                answer = await authenticator.authenticate_token(token, audiences)
            except BadCredentials as error:
                errors.append(error.why)
                continue
            if answer is not None:
                return answer
        if not errors:
            raise BadCredentials("invalid bearer token")
        # as upstream: the loopback client's tokens were asked first
        raise BadCredentials(f"[{', '.join(dict.fromkeys(['invalid bearer token', *errors]))}]")


def bearer_token(request: RequestInfo) -> str:
    """The token of a request's headers; empty when there is none."""
    scheme, space, rest = request.headers.get("authorization", "").strip().partition(" ")
    if space and scheme.lower() == "bearer":
        return rest.partition(" ")[0]
    protocols = request.headers.get("sec-websocket-protocol", "")
    if _WEBSOCKET_PREFIX not in protocols:
        return ""
    encoded = [p.strip().removeprefix(_WEBSOCKET_PREFIX) for p in re.split("[,\n]", protocols) if p.strip().startswith(_WEBSOCKET_PREFIX)]
    if len(encoded) > 1:
        raise BadCredentials("multiple base64.bearer.authorization tokens specified")
    try:
        return base64.b64decode(encoded[0] + "=" * (-len(encoded[0]) % 4), altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError, IndexError) as error:
        raise BadCredentials("invalid base64.bearer.authorization token encoding") from error


class TokenFile:
    """Tokens that a file lists, one user a line: `token,user,uid,"group1,group2"`."""

    def __init__(self, users: dict[str, User], audience: str = DEFAULT_AUDIENCE) -> None:
        # kept by digest: how long a look-up takes says nothing about the token
        self._users = {_digest(token): (token.encode(), user) for token, user in users.items()}
        self._audience = audience

    async def authenticate_token(self, token: str, audiences: Sequence[str]) -> TokenAnswer | None:
        """Static tokens are good for the API server's own audience."""
        known = self._users.get(_digest(token))
        if known is None or not hmac.compare_digest(known[0], token.encode("utf-8", "surrogateescape")):
            return None
        return TokenAnswer(known[1], (self._audience,)) if self._audience in audiences else None


def read_token_file(path: Path) -> dict[str, User]:
    """Users by token, in upstream's `--token-auth-file` format.

    Raises:
        ConfigError: It can't be read or a line is not of that format.
    """
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the token file {path} can't be read: {error}", hint="give a readable CSV file") from error
    users: dict[str, User] = {}
    for number, row in enumerate(csv.reader(io.StringIO(text), skipinitialspace=True), start=1):
        if not row:
            continue
        if len(row) < 3:
            raise ConfigError(f"the token file {path} has {len(row)} columns in line {number}, it needs at least 3",
                              hint='a line is token,user name,user uid,"group1,group2"')
        token, name, uid = row[:3]
        if not token:
            log.warning("empty token in the token file", extra={"file": str(path), "line": number})
            continue
        if token in users:
            log.warning("a token stands twice in the token file, the later line counts", extra={"file": str(path), "line": number})
        groups = tuple(group for group in row[3].split(",") if group) if len(row) > 3 else ()
        users[token] = User(name, uid, (*groups, AUTHENTICATED))
    return users


_BOOTSTRAP = re.compile(r"([a-z0-9]{6})\.([a-z0-9]{16})")
_BOOTSTRAP_GROUP = re.compile(r"system:bootstrappers:[a-z0-9:-]{0,255}[a-z0-9]")


class BootstrapTokens:
    """Tokens of Secrets `bootstrap-token-<id>` in kube-system, with which a machine asks for its certificate."""

    def __init__(self, readers: Readers, clock: Clock, audience: str = DEFAULT_AUDIENCE) -> None:
        self._secrets, self._clock, self._audience = readers.of(SECRETS), clock, audience

    async def authenticate_token(self, token: str, audiences: Sequence[str]) -> TokenAnswer | None:
        """Whose it is; a token that is not good (expired, of another use) is nobody's."""
        match = _BOOTSTRAP.fullmatch(token)
        if match is None or self._audience not in audiences:
            return None
        entry = self._secrets.get("kube-system", f"bootstrap-token-{match[1]}")
        if entry is None:
            return None
        groups = bootstrap_groups(entry.object, match[1], match[2], self._clock.now())
        if groups is None:
            return None
        return TokenAnswer(User(f"system:bootstrap:{match[1]}", groups=(*groups, AUTHENTICATED)), (self._audience,))


def bootstrap_groups(secret: Secret, token_id: str, token_secret: str, now: datetime) -> tuple[str, ...] | None:
    """The groups of a bootstrap token's user; None when the Secret does not vouch for the token."""
    data = secret.data
    if secret.metadata.deletionTimestamp or secret.type != "bootstrap.kubernetes.io/token":
        return None
    if not hmac.compare_digest(data.get("token-secret", b""), token_secret.encode()) or data.get("token-id") != token_id.encode():
        return None
    if (expires := data.get("expiration", b"").decode("utf-8", "replace")):
        try:
            moment = datetime.fromisoformat(expires)
        except ValueError:
            return None  # upstream: what can't be read has expired
        if moment.tzinfo is None or moment <= now:
            return None
    if data.get("usage-bootstrap-authentication") != b"true":
        return None
    groups = {"system:bootstrappers"}
    for group in filter(None, data.get("auth-extra-groups", b"").decode("utf-8", "replace").split(",")):
        if not _BOOTSTRAP_GROUP.fullmatch(group):
            return None
        groups.add(group)
    return tuple(sorted(groups))


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
