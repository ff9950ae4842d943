"""The flags of identity, audit and encryption as the command line gives them."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from sampan.cli import securityflags
from sampan.cluster.security import (
    AuditFlags,
    AuthorizationFlags,
    HeaderFlags,
    OidcFlags,
    SecurityFlags,
    TokenWebhookFlags,
)


def given(*arguments: str) -> SecurityFlags:
    parser = argparse.ArgumentParser()
    securityflags.add(parser)
    return securityflags.read(parser.parse_args(arguments))


def test_nothing_given_means_upstreams_defaults() -> None:
    assert given() == SecurityFlags()


def test_audit_flags() -> None:
    assert given("--audit-policy-file=p", "--audit-log-path=-", "--audit-log-maxsize=1", "--audit-log-maxbackup=2", "--audit-log-maxage=3").audit == \
        AuditFlags(Path("p"), "-", 1, 2, 3)


def test_encryption_flag() -> None:
    assert given("--encryption-provider-config=e").encryption == Path("e")


def test_identity_flags() -> None:
    flags = given("--anonymous-auth=false", "--authentication-config=a", "--oidc-issuer-url=https://x", "--oidc-client-id=me", "--oidc-required-claim=a=b",
                  "--oidc-required-claim=c=d", "--oidc-signing-algs=RS256,ES256", "--requestheader-client-ca-file=ca",
                  "--requestheader-group-headers=X-Group, X-Remote-Group", "--authentication-token-webhook-config-file=w",
                  "--authentication-token-webhook-version=v1")
    assert (flags.anonymous, flags.authentication) == (False, Path("a"))
    assert flags.oidc == OidcFlags("https://x", "me", required=("a=b", "c=d"), algorithms=("RS256", "ES256"))
    assert flags.headers == HeaderFlags(Path("ca"), groups=("X-Group", "X-Remote-Group"))
    assert flags.token_webhook == TokenWebhookFlags(Path("w"), version="v1")
    with pytest.raises(SystemExit):
        given("--anonymous-auth=perhaps")


def test_authorization_flags() -> None:
    flags = given("--authorization-mode=RBAC,Webhook", "--authorization-webhook-config-file=w", "--authorization-webhook-cache-authorized-ttl=1m")
    assert flags.authorization == AuthorizationFlags(modes=("RBAC", "Webhook"), webhook=Path("w"), authorized="1m")
    assert given("--authorization-config=a").authorization == AuthorizationFlags(Path("a"))


def test_admission_flags() -> None:
    flags = given("--enable-admission-plugins=NodeRestriction", "--disable-admission-plugins=PodSecurity,ResourceQuota")
    assert (flags.enabled_admission, flags.disabled_admission) == (("NodeRestriction",), ("PodSecurity", "ResourceQuota"))
