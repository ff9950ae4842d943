"""Users that front proxies name, and who is no front proxy."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import cache

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from sampan.aio.clock import SystemClock
from sampan.apiserver.auth.authenticators import Certificates, Configured, Sources
from sampan.apiserver.auth.requestheader import Authority, HeaderUsers, RequestHeaders
from sampan.apiserver.auth.tokens import BadCredentials
from sampan.apiserver.request import RequestInfo, User
from sampan.lib import pki
from sampan.lib.errors import ConfigError

CLOCK = SystemClock()


@cache
def authority(name: str) -> pki.Pair:
    return pki.new_ca(name, now=CLOCK.now())


@cache
def certificate(ca: str, name: str) -> bytes:
    pair = pki.issue(authority(ca), pki.Names(name, ("system:masters",)), ("digital signature", "client auth"), now=CLOCK.now())
    return x509.load_pem_x509_certificate(pair.certificate).public_bytes(Encoding.DER)


SETTINGS = RequestHeaders(authority("proxies").certificate, ("front-proxy",), uid=("X-Remote-Uid",))
HEADERS = {"x-remote-user": "jane", "x-remote-group": "dev\nops", "x-remote-uid": "u1", "x-remote-extra-acme.com%2fproject": "a\nb"}


def ask(der: bytes, headers: dict[str, str] = HEADERS, settings: RequestHeaders = SETTINGS) -> User | None:
    info = RequestInfo("GET", "/", {}, headers, "get", peer_certificate=der)
    return asyncio.run(HeaderUsers(settings, CLOCK).authenticate(info))


def test_a_front_proxy_is_believed() -> None:
    assert ask(certificate("proxies", "front-proxy")) == User("jane", "u1", ("dev", "ops"), {"acme.com/project": ("a", "b")})
    assert ask(certificate("proxies", "anybody"), settings=replace(SETTINGS, names=())) is not None


def test_nobody_else_is() -> None:
    assert ask(b"") is None
    assert ask(certificate("clients", "front-proxy")) is None
    assert ask(certificate("proxies", "front-proxy"), {}) is None
    with pytest.raises(BadCredentials) as caught:
        ask(certificate("proxies", "other"))
    assert caught.value.why == "x509: subject with cn=other is not in the allowed list"


def test_a_front_proxys_certificate_makes_no_client() -> None:
    # given handshakes that trust both authorities
    configured = Configured(Sources(headers=SETTINGS), CLOCK, ["a"], client_ca=authority("clients").certificate)
    certificates = Certificates(CLOCK, configured.authority)

    def who(der: bytes) -> User | None:
        return asyncio.run(certificates.authenticate(RequestInfo("GET", "/", {}, {}, "get", peer_certificate=der)))

    mine = who(certificate("clients", "jane"))
    assert mine is not None
    assert mine.name == "jane"
    with pytest.raises(BadCredentials) as caught:
        who(certificate("proxies", "front-proxy"))
    assert caught.value.why == "x509: certificate signed by unknown authority"
    # when the clients' authority is replaced
    configured.trust(authority("new").certificate)
    with pytest.raises(BadCredentials):
        who(certificate("clients", "jane"))


def test_an_authority_of_the_same_name_is_another() -> None:
    other = pki.new_ca("proxies", now=CLOCK.now())
    assert not Authority(other.certificate).issued(certificate("proxies", "front-proxy"))


def test_a_file_without_certificates_is_refused() -> None:
    with pytest.raises(ConfigError, match="no bundle of certificates"):
        Authority(b"x")
