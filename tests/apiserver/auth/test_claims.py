"""What claims become, by claims and by expressions."""

from __future__ import annotations

from typing import Any

import pytest

from sampan.api import codec
from sampan.apiserver.auth.claims import Unacceptable, user_of
from sampan.apiserver.auth.jwtconfig import JwtAuthenticator
from sampan.apiserver.request import User

JANE = {"sub": "jane", "email": "jane@example.com", "email_verified": True, "roles": ["dev", "ops"], "team": "red", "tenant": "t1"}


def of(mappings: dict[str, Any], claims: dict[str, Any] = JANE, **more: Any) -> User:
    return user_of(codec.convert(JwtAuthenticator, {"claimMappings": mappings, **more}), claims)


SUB = {"claim": "sub", "prefix": "x:"}


def test_claims_with_prefixes() -> None:
    user = of({"username": SUB, "groups": {"claim": "roles", "prefix": "g:"}, "uid": {"claim": "tenant"}})
    assert user == User("x:jane", "t1", ("g:dev", "g:ops"))
    assert of({"username": SUB, "groups": {"claim": "team", "prefix": ""}}).groups == ("red",)
    assert of({"username": SUB, "groups": {"claim": "none", "prefix": ""}}).groups == ()


def test_expressions() -> None:
    user = of({"username": {"expression": "claims.email_verified ? claims.email : claims.sub"}, "groups": {"expression": "claims.roles.map(r, 'g:' + r)"},
               "uid": {"expression": "claims.tenant"}, "extra": [{"key": "a.b/team", "valueExpression": "claims.team"},
                                                                 {"key": "a.b/none", "valueExpression": "''"}]})
    assert user == User("jane@example.com", "t1", ("g:dev", "g:ops"), {"a.b/team": ("red",)})


@pytest.mark.parametrize(("mappings", "more", "why"), [
    ({"username": {"claim": "none", "prefix": ""}}, {}, 'parse username claims "none": claim not present'),
    ({"username": {"expression": "claims.none"}}, {}, "error evaluating username expression"),
    ({"username": {"expression": "''"}}, {}, "the username is empty"), ({"username": {"expression": "claims.roles"}}, {}, "must return a string"),
    ({"username": SUB, "groups": {"expression": "[1]"}}, {}, "a string or a list of strings"),
    ({"username": SUB}, {"claimValidationRules": [{"claim": "tenant", "requiredValue": "t2"}]}, "required claim tenant value does not match"),
    ({"username": SUB}, {"claimValidationRules": [{"claim": "none", "requiredValue": ""}]}, 'required claim "none" not present'),
    ({"username": SUB}, {"claimValidationRules": [{"expression": "claims.tenant == 't2'", "message": "not ours"}]}, "failed: not ours"),
    ({"username": {"claim": "sub", "prefix": "system:"}}, {"userValidationRules": [
        {"expression": "!user.username.startsWith('system:')", "message": "reserved"}]}, "failed: reserved"),
    ({"username": SUB, "groups": {"claim": "roles", "prefix": "system:"}}, {"userValidationRules": [
        {"expression": "user.groups.all(g, !g.startsWith('system:'))"}]}, "failed"),
])
def test_claims_that_break_a_rule_make_no_user(mappings: dict[str, Any], more: dict[str, Any], why: str) -> None:
    with pytest.raises(Unacceptable) as caught:
        of(mappings, **more)
    assert why in str(caught.value)


def test_an_address_that_is_not_verified_is_nobodys() -> None:
    with pytest.raises(Unacceptable, match="email not verified"):
        of({"username": {"claim": "email", "prefix": ""}}, JANE | {"email_verified": False})


@pytest.mark.parametrize("said", ["false", "true", 1, None])
def test_whether_an_address_is_verified_is_told_by_a_boolean(said: Any) -> None:
    with pytest.raises(Unacceptable, match="parse 'email_verified' claim"):
        of({"username": {"claim": "email", "prefix": ""}}, JANE | {"email_verified": said})
