"""What the verified claims of a token become: a user, or why not.

Pure. Expressions see `claims` (mappings, validation rules) or `user` (user validation rules).
Source: kubernetes `plugin/pkg/auth/authenticator/token/oidc/oidc.go`, apiserver `pkg/authentication/cel`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from sampan.api import codec
from sampan.apiserver.auth.jwtconfig import JwtAuthenticator, PrefixedClaim
from sampan.apiserver.request import User

if TYPE_CHECKING:
    from sampan.api.cel.environment import Environment


class Unacceptable(Exception):
    """Claims that make no user; upstream's words."""


@cache
def _environment(about: str) -> Environment:
    from sampan.api.cel.environment import Environment
    from sampan.api.cel.types import DYN, STRING, list_of, map_of, object_type

    if about == "claims":
        return Environment({"claims": map_of(STRING, DYN)})
    return Environment({"user": object_type("kubernetes.UserInfo", {
        "username": STRING, "uid": STRING, "groups": list_of(STRING), "extra": map_of(STRING, list_of(STRING))})})


def problem(expression: str, about: str, wanted: str) -> str:
    """Why an expression is not one over `claims` or `user` that gives `bool`, `string` or `texts` (strings); empty: it is."""
    from sampan.api.cel.admission import compile_as
    from sampan.api.cel.types import BOOL, DYN, STRING, list_of

    types = {"bool": (BOOL,), "string": (STRING, DYN), "texts": (STRING, list_of(STRING), DYN, list_of(DYN))}[wanted]
    return compile_as(_environment(about), expression, types).problem


def _evaluate(expression: str, about: str, value: Any, what: str) -> Any:
    from sampan.api.cel.errors import CelError

    try:
        return _environment(about).compile(expression.strip()).evaluate({about: value})
    except CelError as error:
        raise Unacceptable(f"oidc: error evaluating {what} expression: {error}") from None


def user_of(one: JwtAuthenticator, claims: Mapping[str, Any]) -> User:
    """Who has these claims.

    Raises:
        Unacceptable: They break a rule, or make no user.
    """
    for rule in one.claimValidationRules:
        if rule.expression:
            if _evaluate(rule.expression, "claims", claims, "claim validation") is not True:
                why = f": {rule.message}" if rule.message else ""
                raise Unacceptable(f"oidc: error evaluating claim validation expression: validation expression '{rule.expression}' failed{why}")
        elif rule.claim not in claims:
            raise Unacceptable(f'oidc: required claim "{rule.claim}" not present in ID token')
        elif claims[rule.claim] != rule.requiredValue:
            raise Unacceptable(f'oidc: required claim {rule.claim} value does not match')
    mappings = one.claimMappings
    name = _username(mappings.username, claims)
    groups = tuple(_groups(mappings.groups, claims))
    uid = ""
    if mappings.uid.expression:
        uid = _text(_evaluate(mappings.uid.expression, "claims", claims, "uid"), "uid claim expression must return a string")
    elif mappings.uid.claim:
        uid = _text(claims.get(mappings.uid.claim), f'parse uid claim "{mappings.uid.claim}": claim not present')
    extra = {extra.key: values for extra in mappings.extra
             if (values := tuple(_texts(_evaluate(extra.valueExpression, "claims", claims, "extra"), "extra")))}
    user = User(name, uid, groups, extra)
    shown = {"username": name, "uid": uid, "groups": list(groups), "extra": {key: list(values) for key, values in extra.items()}}
    for user_rule in one.userValidationRules:
        if _evaluate(user_rule.expression, "user", shown, "user validation") is not True:
            why = f": {user_rule.message}" if user_rule.message else ""
            raise Unacceptable(f"oidc: error evaluating user info validation rule: validation expression '{user_rule.expression}' failed{why}")
    return user


def _username(mapping: PrefixedClaim, claims: Mapping[str, Any]) -> str:
    if mapping.expression:
        name = _text(_evaluate(mapping.expression, "claims", claims, "username"), "error evaluating username claim expression: must return a string")
    else:
        name = _text(claims.get(mapping.claim), f'parse username claims "{mapping.claim}": claim not present')
        if mapping.claim == "email" and "email_verified" in claims:
            verified = claims["email_verified"]
            if not isinstance(verified, bool):
                raise Unacceptable("oidc: parse 'email_verified' claim: it is no boolean")
            if not verified:
                raise Unacceptable("oidc: email not verified")
    if not name:
        raise Unacceptable("oidc: the username is empty")
    return (mapping.prefix or "") + name


def _groups(mapping: PrefixedClaim, claims: Mapping[str, Any]) -> list[str]:
    if mapping.expression:
        return _texts(_evaluate(mapping.expression, "claims", claims, "group"), "group")
    if not mapping.claim or claims.get(mapping.claim) is None:
        return []
    found = claims[mapping.claim]
    groups = [found] if isinstance(found, str) else found
    if not isinstance(groups, list) or not all(isinstance(group, str) for group in groups):
        raise Unacceptable(f'oidc: parse groups claim "{mapping.claim}": json: cannot unmarshal into Go value of type string')
    return [(mapping.prefix or "") + group for group in groups]


def _text(value: Any, why: str) -> str:
    if not isinstance(value, str):
        raise Unacceptable(f"oidc: {why}")
    return value


def _texts(value: Any, what: str) -> list[str]:
    """A string or strings; null, an empty string and an empty list are none."""
    plain = codec.to_builtins(value)
    if plain is None or plain == "":
        return []
    items = [plain] if isinstance(plain, str) else plain
    if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
        raise Unacceptable(f"oidc: error evaluating {what} claim expression: expression must return a string or a list of strings")
    return items if what == "group" else [item for item in items if item]


