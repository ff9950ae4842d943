"""Authentication configurations: what is taken, what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from sampan.api import codec
from sampan.apiserver.auth.jwtconfig import Issuer, JwtAuthenticator, check, load
from sampan.lib.errors import ConfigError

ISSUER = {"url": "https://issuer.example", "audiences": ["sampan"]}
USERNAME = {"username": {"claim": "sub", "prefix": ""}}


def text(jwt: list[Any], **more: Any) -> bytes:
    return codec.encode({"kind": "AuthenticationConfiguration", "apiVersion": "apiserver.config.k8s.io/v1", "jwt": jwt, **more})


def one(issuer: dict[str, Any] | None = None, mappings: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    return {"issuer": ISSUER | (issuer or {}), "claimMappings": USERNAME | (mappings or {}), **more}


def test_a_configuration_is_read() -> None:
    read = load(text([one(mappings={"groups": {"expression": "claims.groups"}})], anonymous={"enabled": True, "conditions": [{"path": "/livez"}]}), "f")
    assert (read.jwt[0].issuer.url, read.jwt[0].claimMappings.groups.expression) == ("https://issuer.example", "claims.groups")
    assert read.anonymous is not None
    assert read.anonymous.conditions[0].path == "/livez"
    assert load(text([]), "f").jwt == []


@pytest.mark.parametrize(("written", "why"), [
    (b"a: [", "can't be read"), (b"kind: Pod", "is no AuthenticationConfiguration"), (text([{"nope": 1}]), "unknown field"),
    (text([one({"url": "http://x"})]), "URL scheme must be https"), (text([one({"url": ""})]), "issuer.url: Required value"),
    (text([one({"url": "https://a:b@x"})]), "must not contain a username"), (text([one({"url": "https://own"})]), "must not overlap"),
    (text([one({"discoveryURL": "https://issuer.example/"})]), "discoveryURL must be different"),
    (text([one({"audiences": []})]), "audiences: Required value"), (text([one({"audiences": ["a", "b"]})]), "must be MatchAny for multiple"),
    (text([one({"certificateAuthority": "x"})]), "does not contain any valid"), (text([one({"egressSelectorType": "cluster"})]), "no egress selectors"),
    (text([one(), one()]), "Duplicate value"), (text([one(mappings={"username": {}})]), "claim or expression is required"),
    (text([one(mappings={"username": {"claim": "sub"}})]), "prefix is required when claim is set"),
    (text([one(mappings={"username": {"claim": "a", "expression": "b"}})]), "can't both be set"),
    (text([one(mappings={"username": {"expression": "claim.sub"}})]), "undeclared reference"),
    (text([one(mappings={"username": {"expression": "claims.email"}})]), "claims.email_verified must be used"),
    (text([one(mappings={"extra": [{"key": "team", "valueExpression": "claims.x"}]})]), "domain-prefixed path"),
    (text([one(mappings={"extra": [{"key": "a.kubernetes.io/x", "valueExpression": "claims.x"}]})]), "reserved for Kubernetes"),
    (text([one(claimValidationRules=[{}])]), "claim or expression is required"),
    (text([one(claimValidationRules=[{"expression": "1"}])]), "must evaluate to bool"),
    (text([one(claimValidationRules=[{"claim": "a", "message": "m"}])]), "may not be specified when claim is set"),
    (text([one(userValidationRules=[{"expression": "user.none"}])]), "undefined field"),
    (text([], anonymous={"enabled": False, "conditions": [{"path": "/"}]}), "enabled should be set to true"),
])
def test_a_configuration_that_can_not_be_is_refused(written: bytes, why: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(written, "auth.yaml", ["https://own"])
    assert why in caught.value.message
    assert "auth.yaml" in caught.value.message


def test_flags_are_held_to_the_same_rules() -> None:
    with pytest.raises(ConfigError, match="unsupported signing alg: HS256"):
        check(JwtAuthenticator(issuer=Issuer(url="https://x", audiences=["a"]), algorithms=("HS256",)))
    with pytest.raises(ConfigError, match="scheme must be https"):
        check(JwtAuthenticator(issuer=Issuer(url="http://x", audiences=["a"])))
