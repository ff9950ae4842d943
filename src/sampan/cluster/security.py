"""What the command line says about identity, audit and encryption, read into an API server's settings.

Owns reading the files, before anything listens: whatever is wrong with one is told with its name.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from sampan.apiserver.audit import policy
from sampan.apiserver.audit.file import DEFAULT_MEGABYTES, Rotation
from sampan.apiserver.auth.authenticators import TokenWebhook
from sampan.apiserver.auth.requestheader import Authority, RequestHeaders
from sampan.apiserver.server import Settings
from sampan.lib.errors import ConfigError
from sampan.lib.pkirotate import write_private

if TYPE_CHECKING:
    from sampan.apiserver.auth.jwtconfig import JwtAuthenticator


@dataclass(frozen=True)
class AuditFlags:
    """`--audit-*`."""

    policy: Path | None = None
    log: str = ""
    megabytes: int = 0
    backups: int = 0
    days: int = 0


@dataclass(frozen=True)
class OidcFlags:
    """`--oidc-*`."""

    issuer: str = ""
    client: str = ""
    username_claim: str = "sub"
    username_prefix: str = ""
    groups_claim: str = ""
    groups_prefix: str = ""
    required: tuple[str, ...] = ()
    ca: Path | None = None
    algorithms: tuple[str, ...] = ("RS256",)


@dataclass(frozen=True)
class TokenWebhookFlags:
    """`--authentication-token-webhook-*`."""

    config: Path | None = None
    cache: str = "2m0s"
    version: str = "v1beta1"


@dataclass(frozen=True)
class HeaderFlags:
    """`--requestheader-*`."""

    ca: Path | None = None
    names: tuple[str, ...] = ()
    username: tuple[str, ...] = ()
    uid: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()


@dataclass(frozen=True)
class AuthorizationFlags:
    """`--authorization-*`. No modes: not said."""

    config: Path | None = None
    modes: tuple[str, ...] = ()
    webhook: Path | None = None
    version: str = "v1beta1"
    authorized: str = "5m0s"
    unauthorized: str = "30s"


@dataclass(frozen=True)
class SecurityFlags:
    """All of them. `anonymous` None: not said."""

    audit: AuditFlags = AuditFlags()
    encryption: Path | None = None
    anonymous: bool | None = None
    authentication: Path | None = None
    oidc: OidcFlags = OidcFlags()
    token_webhook: TokenWebhookFlags = TokenWebhookFlags()
    headers: HeaderFlags = HeaderFlags()
    authorization: AuthorizationFlags = AuthorizationFlags()
    enabled_admission: tuple[str, ...] = ()
    disabled_admission: tuple[str, ...] = ()


def content(path: Path, what: str) -> bytes:
    """A file's bytes.

    Raises:
        ConfigError: It can't be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"the {what} {path} can't be read: {error.strerror or error}", hint="give a file that this user can read") from None


def secured(settings: Settings, flags: SecurityFlags) -> Settings:
    """The settings with what the flags say.

    Raises:
        ConfigError: A file is not what it should be, or flags contradict one another.
    """
    settings = _encrypted(_audited(settings, flags.audit), flags.encryption)
    if flags.anonymous is not None:
        settings = replace(settings, anonymous=flags.anonymous)
    settings = _authorized(_issuers(settings, flags), flags.authorization)
    settings = _admitted(settings, flags)
    return _headers(_token_webhook(settings, flags.token_webhook), flags.headers)


def seconds(text: str, flag: str) -> float:
    """A duration in Go's form.

    Raises:
        ConfigError: It is none, or negative.
    """
    from sampan.api.cel.errors import CelError
    from sampan.api.cel.temporal import parse_duration

    try:
        found = parse_duration(text).nano / 1e9
    except CelError:
        raise ConfigError(f'{flag}: "{text}" is no duration', hint="write it like 30s or 2m0s") from None
    if found < 0:
        raise ConfigError(f"{flag}: {text} must not be negative")
    return found


def handshake_ca(flags: SecurityFlags, client_ca: Path, folder: Path) -> Path:
    """Whose client certificates a handshake takes: a file with the front proxies' authority too, where there is one."""
    if flags.headers.ca is None:
        return client_ca
    both = folder / "handshake-ca.crt"
    # a handshake may read it at any moment
    write_private(both, client_ca.read_bytes().rstrip(b"\n") + b"\n" + content(flags.headers.ca, "file of --requestheader-client-ca-file"))
    return both


def _issuers(settings: Settings, flags: SecurityFlags) -> Settings:
    oidc = flags.oidc
    if flags.authentication is not None:
        if oidc.issuer or oidc.client:
            raise ConfigError("authentication-config file and oidc-* flags are mutually exclusive")
        from sampan.apiserver.auth import jwtconfig

        read = jwtconfig.load(content(flags.authentication, "authentication configuration"), str(flags.authentication), (settings.issuer,))
        settings = replace(settings, sources=replace(settings.sources, issuers=tuple(read.jwt)))
        if read.anonymous is None:
            return settings
        if flags.anonymous is not None:
            raise ConfigError("--anonymous-auth flag cannot be set when anonymous field is configured in authentication configuration file")
        paths = tuple(one.path for one in read.anonymous.conditions)
        return replace(settings, anonymous=read.anonymous.enabled, sources=replace(settings.sources, anonymous_paths=paths))
    if bool(oidc.issuer) != bool(oidc.client):
        raise ConfigError("oidc-issuer-url and oidc-client-id must be specified together when any oidc-* flags are set")
    if not oidc.issuer:
        return settings
    return replace(settings, sources=replace(settings.sources, issuers=(_issuer(oidc),)))


def _issuer(flags: OidcFlags) -> JwtAuthenticator:
    from sampan.apiserver.auth import jwtconfig

    prefix = "" if flags.username_prefix == "-" else flags.username_prefix
    if not flags.username_prefix and flags.username_claim != "email":
        prefix = f"{flags.issuer}#"  # so that nobody of the issuer is somebody else here
    rules = []
    for one in flags.required:
        claim, equals, value = one.partition("=")
        if not equals or not claim:
            raise ConfigError(f'--oidc-required-claim: "{one}" is not of the form claim=value')
        rules.append(jwtconfig.ClaimValidationRule(claim=claim, requiredValue=value))
    groups = jwtconfig.PrefixedClaim(flags.groups_claim, flags.groups_prefix) if flags.groups_claim else jwtconfig.PrefixedClaim()
    made = jwtconfig.JwtAuthenticator(
        issuer=jwtconfig.Issuer(url=flags.issuer, audiences=[flags.client],
                                certificateAuthority=content(flags.ca, "file of --oidc-ca-file").decode("utf-8", "replace") if flags.ca else ""),
        claimMappings=jwtconfig.ClaimMappings(username=jwtconfig.PrefixedClaim(flags.username_claim, prefix), groups=groups),
        claimValidationRules=rules, algorithms=flags.algorithms)
    jwtconfig.check(made)
    return made


def _authorized(settings: Settings, flags: AuthorizationFlags) -> Settings:
    if flags == AuthorizationFlags():
        return settings
    from sampan.apiserver.auth import authzconfig
    from sampan.apiserver.auth.authzwebhook import WebhookSettings
    from sampan.apiserver.auth.remote import access_of

    if flags.config is not None:
        if flags != AuthorizationFlags(flags.config):
            raise ConfigError("--authorization-config can not be specified when --authorization-mode or --authorization-webhook-* flags are defined")
        return replace(settings, authorization=authzconfig.load(content(flags.config, "authorization configuration"), str(flags.config)))
    webhook = None
    if flags.webhook is not None:
        webhook = WebhookSettings(
            "default", access_of(flags.webhook, "--authorization-webhook-config-file"), seconds(flags.authorized, "--authorization-webhook-cache-authorized-ttl"),
            seconds(flags.unauthorized, "--authorization-webhook-cache-unauthorized-ttl"), version=flags.version)
    return replace(settings, authorization=authzconfig.modes(flags.modes or ("Node", "RBAC"), webhook))


def _admitted(settings: Settings, flags: SecurityFlags) -> Settings:
    """All plugins are on already; `--enable-admission-plugins` may name those alone."""
    if not flags.enabled_admission and not flags.disabled_admission:
        return settings
    from sampan.apiserver.admission.all import PLUGINS

    for flag, given in (("enable-admission-plugins", flags.enabled_admission), ("disable-admission-plugins", flags.disabled_admission)):
        for name in given:
            if name not in PLUGINS:
                raise ConfigError(f'{flag} plugin "{name}" is unknown', hint=f"choose of {', '.join(PLUGINS)}")
    both = set(flags.enabled_admission) & set(flags.disabled_admission)
    if both:
        raise ConfigError(f"[{', '.join(sorted(both))}] in enable-admission-plugins and disable-admission-plugins overlapped")
    return replace(settings, disabled_admission=settings.disabled_admission | set(flags.disabled_admission))


def _token_webhook(settings: Settings, flags: TokenWebhookFlags) -> Settings:
    if flags.config is None:
        return settings
    from sampan.apiserver.auth.remote import access_of

    hook = TokenWebhook(access_of(flags.config, "--authentication-token-webhook-config-file"), flags.version, seconds(flags.cache, "--authentication-token-webhook-cache-ttl"))
    return replace(settings, sources=replace(settings.sources, webhook=hook))


def _headers(settings: Settings, flags: HeaderFlags) -> Settings:
    if flags.ca is None:
        return settings
    plain = RequestHeaders(content(flags.ca, "file of --requestheader-client-ca-file"))
    headers = RequestHeaders(plain.client_ca, flags.names, flags.username or plain.username, flags.uid, flags.groups or plain.groups,
                             flags.extra or plain.extra)
    Authority(headers.client_ca, f"the file {flags.ca} of --requestheader-client-ca-file")
    return replace(settings, sources=replace(settings.sources, headers=headers))


def _encrypted(settings: Settings, path: Path | None) -> Settings:
    if path is None:
        return settings
    from sampan.apiserver.encryption import config

    return replace(settings, encryption=config.load(content(path, "encryption configuration"), str(path)))


def _audited(settings: Settings, flags: AuditFlags) -> Settings:
    if flags.policy is None:
        if flags.log:  # upstream goes on and logs nothing
            raise ConfigError("--audit-log-path without --audit-policy-file would log nothing", hint="say with a policy file what is logged")
        return settings
    if min(flags.megabytes, flags.backups, flags.days) < 0:
        name, value = next((name, value) for name, value in (
            ("maxsize", flags.megabytes), ("maxbackup", flags.backups), ("maxage", flags.days)) if value < 0)
        raise ConfigError(f"--audit-log-{name} {value} can't be a negative number")
    read = policy.load(content(flags.policy, "audit policy"), str(flags.policy))
    if not flags.log:  # upstream: no back end, so nothing is written
        return settings
    return replace(settings, audit_policy=read, audit_log=flags.log,
                   audit_rotation=Rotation(flags.megabytes or DEFAULT_MEGABYTES, flags.backups, flags.days))
