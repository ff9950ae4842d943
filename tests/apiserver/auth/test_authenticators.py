from __future__ import annotations

import asyncio
import base64
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from apiserver.readers import MemoryReaders
from sampan.api.errors import Unauthorized
from sampan.api.resources import SECRETS
from sampan.apiserver.auth.authenticators import Identities, default_authenticators
from sampan.apiserver.auth.serviceaccounts import Issuer
from sampan.apiserver.auth.tokens import TokenFile, bearer_token, read_token_file
from sampan.apiserver.request import ADMIN, ANONYMOUS, RequestInfo, User
from sampan.lib import pki
from sampan.lib.errors import ConfigError

NOW = datetime(2026, 5, 1, tzinfo=UTC)
AUDIENCE = "https://kubernetes.default.svc"


class At:
    def __init__(self, moment: datetime = NOW) -> None:
        self.moment = moment

    def now(self) -> datetime:
        return self.moment

    def monotonic(self) -> float:
        return 0.0


def _request(headers: dict[str, str] | None = None, **values: Any) -> RequestInfo:
    return RequestInfo("GET", "/api", {}, headers or {}, "get", **values)


def _identities(readers: MemoryReaders | None = None, clock: At | None = None, **values: Any) -> Identities:
    return default_authenticators(readers or MemoryReaders(), clock or At(), Issuer(pki.new_signing_key()), **values)


def _who(identities: Identities, request: RequestInfo) -> User:
    return asyncio.run(identities.authenticator.authenticate(request))


USERS = {"bob-token": User("bob", "u-bob", ("ops", "devs", "system:authenticated"))}


def test_a_static_token_is_its_users() -> None:
    assert _who(_identities(users=USERS), _request({"authorization": "Bearer bob-token"})) == USERS["bob-token"]


@pytest.mark.parametrize("header", ["Bearer wrong", "bearer bob-toke", "Bearer bob-token2", "Bearer a.b.c", "Bearer \udcff"])
def test_a_token_that_nobody_knows_is_refused(header: str) -> None:
    with pytest.raises(Unauthorized) as caught:
        _who(_identities(users=USERS), _request({"authorization": header}))
    assert caught.value.message == "Unauthorized"


@pytest.mark.parametrize("headers", [{}, {"authorization": "Basic YTpi"}, {"authorization": "Bearer "}, {"authorization": "Bearer"},
                                     {"authorization": "Bearer  bob-token"}])
def test_no_token_is_nobody(headers: dict[str, str]) -> None:
    assert _who(_identities(users=USERS), _request(headers)) == ANONYMOUS


def test_nobody_is_refused_where_anonymous_is_off() -> None:
    with pytest.raises(Unauthorized):
        _who(_identities(anonymous=False), _request())


def test_a_browser_sends_its_token_as_a_protocol() -> None:
    token = base64.urlsafe_b64encode(b"bob-token").decode().rstrip("=")
    request = _request({"sec-websocket-protocol": f"v5.channel.k8s.io, base64url.bearer.authorization.k8s.io.{token}"})
    assert bearer_token(request) == "bob-token"
    assert _who(_identities(users=USERS), request).name == "bob"
    with pytest.raises(Unauthorized):
        _who(_identities(), _request({"sec-websocket-protocol": "base64url.bearer.authorization.k8s.io.$"}))


def test_a_certificate_names_its_user_and_expires() -> None:
    # given a client certificate
    ca = pki.new_ca("kubernetes", now=NOW)
    pem = pki.issue(ca, pki.Names("alice", ("devs",)), ("client auth",), now=NOW, days=10).certificate
    der = base64.b64decode(b"".join(pem.splitlines()[1:-1]))
    clock = At()
    identities = _identities(clock=clock)
    # then it names its user
    user = _who(identities, _request(peer_certificate=der))
    assert (user.name, user.groups) == ("alice", ("devs", "system:authenticated"))
    assert user.extra["authentication.kubernetes.io/credential-id"][0].startswith("X509SHA256=")
    # and on a connection that outlives it, it is good no more
    clock.moment = NOW + timedelta(days=11)
    with pytest.raises(Unauthorized):
        _who(identities, _request(peer_certificate=der))


def test_the_in_process_client_is_who_it_says() -> None:
    assert _who(_identities(), _request(trusted_user=ADMIN)) == ADMIN


def test_a_good_token_counts_beside_a_certificate_without_a_name() -> None:
    ca = pki.new_ca("kubernetes", now=NOW)
    pem = pki.issue(ca, pki.Names("", ("devs",)), ("client auth",), now=NOW).certificate
    der = base64.b64decode(b"".join(pem.splitlines()[1:-1]))
    assert _who(_identities(users=USERS), _request({"authorization": "Bearer bob-token"}, peer_certificate=der)).name == "bob"


def test_a_token_file_is_read_as_upstreams(tmp_path: Path) -> None:
    file = tmp_path / "tokens.csv"
    file.write_text('a,admin,u-a,"system:masters"\nb,bob,u-b,"ops,devs"\nc,carol,u-c\n\n,nobody,u\nb,ben,u-n\n')
    users = read_token_file(file)
    assert users["a"] == User("admin", "u-a", ("system:masters", "system:authenticated"))
    assert users["b"].name == "ben"
    assert users["c"].groups == ("system:authenticated",)
    assert set(users) == {"a", "b", "c"}


def test_a_broken_token_file_is_told_by_line(tmp_path: Path) -> None:
    file = tmp_path / "tokens.csv"
    file.write_text("a,b,c\nsecret-token,x\n")
    with pytest.raises(ConfigError, match="2 columns in line 2") as caught:
        read_token_file(file)
    assert "secret-token" not in str(caught.value)
    with pytest.raises(ConfigError, match="can't be read"):
        read_token_file(tmp_path / "none")


def test_a_static_token_is_for_the_api_server_alone() -> None:
    file = TokenFile(USERS)
    assert asyncio.run(file.authenticate_token("bob-token", ["vault"])) is None
    assert asyncio.run(file.authenticate_token("bob-token", ["vault", AUDIENCE])) == (USERS["bob-token"], (AUDIENCE,))


def _bootstrap(readers: MemoryReaders, **changes: str | None) -> None:
    data = {"token-id": "abcdef", "token-secret": "0123456789abcdef", "usage-bootstrap-authentication": "true",
            "auth-extra-groups": "system:bootstrappers:a", "expiration": "2026-05-02T00:00:00Z"} | changes
    readers.put(SECRETS, {"metadata": {"name": "bootstrap-token-abcdef"}, "type": "bootstrap.kubernetes.io/token",
                          "data": {k.replace("_", "-"): base64.b64encode(v.encode()).decode() for k, v in data.items() if v is not None}},
                "kube-system")


def test_a_bootstrap_token_is_a_machines() -> None:
    readers = MemoryReaders()
    _bootstrap(readers)
    user = _who(_identities(readers), _request({"authorization": "Bearer abcdef.0123456789abcdef"}))
    assert user.name == "system:bootstrap:abcdef"
    assert user.groups == ("system:bootstrappers", "system:bootstrappers:a", "system:authenticated")


@pytest.mark.parametrize("changes", [
    {"expiration": "2026-04-01T00:00:00Z"}, {"expiration": "soon"}, {"usage-bootstrap-authentication": "false"},
    {"usage-bootstrap-authentication": None}, {"token-secret": "0123456789abcdee"}, {"token-id": "abcdee"},
    {"auth-extra-groups": "system:masters"},
])
def test_a_bootstrap_token_that_is_not_good_is_nobodys(changes: dict[str, str | None]) -> None:
    readers = MemoryReaders()
    _bootstrap(readers, **changes)
    with pytest.raises(Unauthorized):
        _who(_identities(readers), _request({"authorization": "Bearer abcdef.0123456789abcdef"}))
