"""AuthenticationConfiguration (apiserver.config.k8s.io/v1): whose tokens are taken, and who may be nobody.

Pure. The `--oidc-*` flags become the same `JwtAuthenticator`. Not supported, and said so: egress selectors.
Source: apiserver `pkg/apis/apiserver/validation/validation.go`, kubernetes `pkg/kubeapiserver/options/authentication.go`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import urlsplit

import msgspec

from sampan.api import field
from sampan.api.errors import FieldError
from sampan.apiserver.configfile import ConfigFile, Headed
from sampan.lib.errors import ConfigError

ALGORITHMS = ("RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "PS256", "PS384", "PS512")
MOST_ISSUERS = 64


class Issuer(msgspec.Struct, forbid_unknown_fields=True):
    url: str = ""
    discoveryURL: str = ""
    certificateAuthority: str = ""
    audiences: list[str] = []
    audienceMatchPolicy: str = ""
    egressSelectorType: str = ""


class ClaimValidationRule(msgspec.Struct, forbid_unknown_fields=True):
    claim: str = ""
    requiredValue: str = ""
    expression: str = ""
    message: str = ""


class PrefixedClaim(msgspec.Struct, forbid_unknown_fields=True):
    claim: str = ""
    prefix: str | None = None
    expression: str = ""


class ClaimOrExpression(msgspec.Struct, forbid_unknown_fields=True):
    claim: str = ""
    expression: str = ""


class ExtraMapping(msgspec.Struct, forbid_unknown_fields=True):
    key: str = ""
    valueExpression: str = ""


class ClaimMappings(msgspec.Struct, forbid_unknown_fields=True):
    username: PrefixedClaim = msgspec.field(default_factory=PrefixedClaim)
    groups: PrefixedClaim = msgspec.field(default_factory=PrefixedClaim)
    uid: ClaimOrExpression = msgspec.field(default_factory=ClaimOrExpression)
    extra: list[ExtraMapping] = []


class UserValidationRule(msgspec.Struct, forbid_unknown_fields=True):
    expression: str = ""
    message: str = ""


class JwtAuthenticator(msgspec.Struct, forbid_unknown_fields=True):
    """One issuer, and what its claims become."""

    issuer: Issuer = msgspec.field(default_factory=Issuer)
    claimValidationRules: list[ClaimValidationRule] = []
    claimMappings: ClaimMappings = msgspec.field(default_factory=ClaimMappings)
    userValidationRules: list[UserValidationRule] = []
    algorithms: tuple[str, ...] = ALGORITHMS
    """Of the flags only; no file may name it."""


class AnonymousCondition(msgspec.Struct, forbid_unknown_fields=True):
    path: str = ""


class Anonymous(msgspec.Struct, forbid_unknown_fields=True):
    enabled: bool = False
    conditions: list[AnonymousCondition] = []


class Authentication(Headed, frozen=True):
    """A configuration file."""

    jwt: list[JwtAuthenticator] = []
    anonymous: Anonymous | None = None


_FILE = ConfigFile("authentication configuration", Authentication, "AuthenticationConfiguration",
                   ("apiserver.config.k8s.io/v1", "apiserver.config.k8s.io/v1beta1"))


def load(text: bytes, origin: str, disallowed: Iterable[str] = ()) -> Authentication:
    """A configuration file, YAML or JSON. `disallowed` are issuers that are the server's own.

    Raises:
        ConfigError: It is none, or it says what can't be.
    """
    configuration = _FILE.read(text, origin)
    _FILE.refuse(origin, _errors(configuration, frozenset(disallowed)))
    return configuration


def check(one: JwtAuthenticator) -> None:
    """Hold what flags say to the same rules.

    Raises:
        ConfigError: It can't be so.
    """
    errors = _issuer_errors(one.issuer, "jwt[0].issuer", frozenset())
    unknown = [name for name in one.algorithms if name not in ALGORITHMS]
    if unknown:
        raise ConfigError(f"--oidc-signing-algs: unsupported signing alg: {unknown[0]}", hint=f"choose of {', '.join(ALGORITHMS)}")
    if errors:
        raise ConfigError(f"the --oidc flags are invalid: {field.aggregate(errors)}")


# -- validation ------------------------------------------------------------------------------------------------------


def _errors(configuration: Authentication, disallowed: frozenset[str]) -> list[FieldError]:
    if len(configuration.jwt) > MOST_ISSUERS:
        return [field.too_many("jwt", len(configuration.jwt), MOST_ISSUERS)]
    found: list[FieldError] = []
    urls: set[str] = set()
    for index, one in enumerate(configuration.jwt):
        path = f"jwt[{index}]"
        found += _issuer_errors(one.issuer, f"{path}.issuer", disallowed)
        found += _rule_errors(one, path)
        found += _mapping_errors(one, f"{path}.claimMappings")
        if one.algorithms != ALGORITHMS:
            found.append(field.forbidden(f"{path}.algorithms", "unknown field"))
        if one.issuer.url in urls:
            found.append(field.duplicate(f"{path}.issuer.url", one.issuer.url))
        urls.add(one.issuer.url)
    anonymous = configuration.anonymous
    if anonymous is not None and anonymous.conditions and not anonymous.enabled:
        found.append(field.invalid("anonymous.conditions", [one.path for one in anonymous.conditions],
                                   "enabled should be set to true when conditions are defined"))
    return found


def _issuer_errors(issuer: Issuer, path: str, disallowed: frozenset[str]) -> list[FieldError]:
    found = _url_errors(issuer.url, f"{path}.url", disallowed) if issuer.url else [field.required(f"{path}.url")]
    if issuer.discoveryURL:
        if issuer.discoveryURL.rstrip("/") == issuer.url.rstrip("/"):
            found.append(field.invalid(f"{path}.discoveryURL", issuer.discoveryURL, "discoveryURL must be different from URL"))
        found += _url_errors(issuer.discoveryURL, f"{path}.discoveryURL", frozenset())
    if not issuer.audiences:
        found.append(field.required(f"{path}.audiences", f"at least one {path}.audiences is required"))
    for index, audience in enumerate(issuer.audiences):
        if not audience:
            found.append(field.required(f"{path}.audiences[{index}]"))
        elif audience in issuer.audiences[:index]:
            found.append(field.duplicate(f"{path}.audiences[{index}]", audience))
    policy, several = issuer.audienceMatchPolicy, len(issuer.audiences) > 1
    if policy != "MatchAny" and (several or policy):
        found.append(field.invalid(f"{path}.audienceMatchPolicy", policy, "audienceMatchPolicy must be MatchAny for multiple audiences" if several
                                   else "audienceMatchPolicy must be empty or MatchAny for single audience"))
    if issuer.certificateAuthority and not _is_pem(issuer.certificateAuthority):
        found.append(field.invalid(f"{path}.certificateAuthority", "<omitted>", "data does not contain any valid RSA or ECDSA certificates"))
    if issuer.egressSelectorType:
        found.append(field.forbidden(f"{path}.egressSelectorType", "this server has no egress selectors"))
    return found


def _is_pem(text: str) -> bool:
    import ssl

    try:
        ssl.create_default_context(cadata=text)
    except (ssl.SSLError, ValueError):
        return False
    return True


def _url_errors(url: str, path: str, disallowed: frozenset[str]) -> list[FieldError]:
    found = []
    if url in disallowed:
        found.append(field.invalid(path, url, f"URL must not overlap with disallowed issuers: [{' '.join(sorted(disallowed))}]"))
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        return [*found, field.invalid(path, url, str(error))]
    for wrong, why in ((parts.scheme != "https", "URL scheme must be https"), ("@" in parts.netloc, "URL must not contain a username or password"),
                       (parts.query, "URL must not contain a query"), (parts.fragment, "URL must not contain a fragment")):
        if wrong:
            found.append(field.invalid(path, url, why))
    return found


def _rule_errors(one: JwtAuthenticator, path: str) -> list[FieldError]:
    found: list[FieldError] = []
    seen: set[str] = set()
    for index, rule in enumerate(one.claimValidationRules):
        at = f"{path}.claimValidationRules[{index}]"
        if rule.claim and rule.expression:
            found.append(field.invalid(at, rule.claim, "claim and expression can't both be set"))
        elif not rule.claim and not rule.expression:
            found.append(field.required(at, "claim or expression is required"))
        elif rule.claim and rule.message:
            found.append(field.invalid(f"{at}.message", rule.message, "may not be specified when claim is set"))
        elif rule.expression and rule.requiredValue:
            found.append(field.invalid(f"{at}.requiredValue", rule.requiredValue, "may not be specified when expression is set"))
        elif rule.expression:
            found += _compiled(rule.expression, "claims", f"{at}.expression", "bool")
        name = f"claim {rule.claim}" if rule.claim else f"expression {rule.expression}"
        if name in seen:
            found.append(field.duplicate(f"{at}.{'claim' if rule.claim else 'expression'}", rule.claim or rule.expression))
        seen.add(name)
    expressions: set[str] = set()
    for index, user_rule in enumerate(one.userValidationRules):
        at = f"{path}.userValidationRules[{index}].expression"
        if user_rule.expression in expressions:
            found.append(field.duplicate(at, user_rule.expression))
        expressions.add(user_rule.expression)
        found += _compiled(user_rule.expression, "user", at, "bool") if user_rule.expression else [field.required(at, "expression is required")]
    return found


def _mapping_errors(one: JwtAuthenticator, path: str) -> list[FieldError]:
    mappings = one.claimMappings
    found = [*_prefixed(mappings.username, f"{path}.username", needed=True), *_prefixed(mappings.groups, f"{path}.groups", needed=False)]
    if mappings.uid.claim and mappings.uid.expression:
        found.append(field.invalid(f"{path}.uid", "", "claim and expression can't both be set"))
    elif mappings.uid.expression:
        found += _compiled(mappings.uid.expression, "claims", f"{path}.uid.expression", "string")
    keys: set[str] = set()
    for index, extra in enumerate(mappings.extra):
        at = f"{path}.extra[{index}]"
        found += _key_errors(extra.key, f"{at}.key")
        if extra.key in keys:
            found.append(field.duplicate(f"{at}.key", extra.key))
        keys.add(extra.key)
        found += (_compiled(extra.valueExpression, "claims", f"{at}.valueExpression", "texts") if extra.valueExpression
                  else [field.required(f"{at}.valueExpression")])
    verified = [mappings.username.expression, *(extra.valueExpression for extra in mappings.extra),
                *(rule.expression for rule in one.claimValidationRules)]
    if re.search(r"claims\.\??email\b", mappings.username.expression) and not any("email_verified" in text for text in verified):
        found.append(field.invalid(f"{path}.username.expression", mappings.username.expression,
                                   "claims.email_verified must be used in claimMappings.username.expression or claimMappings.extra[*].valueExpression "
                                   "or claimValidationRules[*].expression when claims.email is used in claimMappings.username.expression"))
    return found


def _prefixed(mapping: PrefixedClaim, path: str, *, needed: bool) -> list[FieldError]:
    if mapping.expression:
        if mapping.claim:
            return [field.invalid(path, "", "claim and expression can't both be set")]
        if mapping.prefix is not None:
            return [field.invalid(f"{path}.prefix", mapping.prefix, "prefix can't be set when expression is set")]
        return _compiled(mapping.expression, "claims", f"{path}.expression", "string" if needed else "texts")
    if mapping.claim:
        return [field.required(f"{path}.prefix", "prefix is required when claim is set. It can be set to an empty string to disable prefixing")] \
            if mapping.prefix is None else []
    if needed:
        return [field.required(path, "claim or expression is required")]
    return [field.invalid(f"{path}.prefix", mapping.prefix, "prefix can't be set when claim is not set")] if mapping.prefix else []


def _key_errors(key: str, path: str) -> list[FieldError]:
    found = []
    domain, slash, rest = key.partition("/")
    if not domain or not slash or not rest:
        found.append(field.invalid(path, key, "must be a domain-prefixed path (such as \"acme.io/foo\")") if key else field.required(path))
    if key != key.lower():
        found.append(field.invalid(path, key, "must be lowercase"))
    if any(domain == reserved or domain.endswith(f".{reserved}") for reserved in ("k8s.io", "kubernetes.io")):
        found.append(field.invalid(path, key, "k8s.io, kubernetes.io and their subdomains are reserved for Kubernetes use"))
    return found


def _compiled(expression: str, about: str, path: str, wanted: str) -> list[FieldError]:
    from sampan.apiserver.auth import claims

    problem = claims.problem(expression, about, wanted)
    return [field.invalid(path, expression, problem)] if problem else []
