"""What the flags of identity, audit and encryption become, and what is said when they are wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sampan.aio.clock import SystemClock
from sampan.apiserver.audit.file import Rotation
from sampan.apiserver.auth.authzwebhook import WebhookSettings
from sampan.apiserver.server import Settings
from sampan.client import kubeconfig
from sampan.cluster.security import (
    AuditFlags,
    AuthorizationFlags,
    HeaderFlags,
    OidcFlags,
    SecurityFlags,
    TokenWebhookFlags,
    handshake_ca,
    seconds,
    secured,
)
from sampan.lib import pki
from sampan.lib.errors import ConfigError

POLICY = "{apiVersion: audit.k8s.io/v1, kind: Policy, rules: [{level: Metadata}]}"


def test_without_flags_nothing_changes() -> None:
    assert secured(Settings(), SecurityFlags()) == Settings()


def test_audit_flags_mean_what_upstreams_mean(tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text(POLICY)
    settings = secured(Settings(), SecurityFlags(AuditFlags(policy, "/x/audit.log", 0, 3, 7)))
    assert settings.audit_policy is not None
    assert (settings.audit_log, settings.audit_rotation) == ("/x/audit.log", Rotation(100, 3, 7))
    # a policy without a place to write to logs nothing
    assert secured(Settings(), SecurityFlags(AuditFlags(policy))).audit_policy is None


@pytest.mark.parametrize(("flags", "why"), [
    (AuditFlags(None, "x"), "--audit-log-path without --audit-policy-file"), (AuditFlags(Path("/none"), "x"), "the audit policy /none can't be read"),
    (AuditFlags(Path("/dev/null"), "x"), "the audit policy /dev/null"), (AuditFlags(Path("/none"), "x", 0, -1), "--audit-log-maxbackup -1"),
])
def test_wrong_audit_flags_are_told(flags: AuditFlags, why: str) -> None:
    with pytest.raises(ConfigError) as caught:
        secured(Settings(), SecurityFlags(flags))
    assert why in caught.value.message


def test_an_encryption_configuration_is_read_or_refused(tmp_path: Path) -> None:
    path = tmp_path / "enc.yaml"
    path.write_text("{kind: EncryptionConfiguration, apiVersion: apiserver.config.k8s.io/v1, resources: [{resources: [secrets], providers: [{identity: {}}]}]}")
    assert secured(Settings(), SecurityFlags(encryption=path)).encryption is not None
    path.write_text("{}")
    with pytest.raises(ConfigError, match=r"enc\.yaml is no EncryptionConfiguration"):
        secured(Settings(), SecurityFlags(encryption=path))


def test_oidc_flags_mean_what_upstreams_mean() -> None:
    def issuer(**flags: Any) -> Any:
        return secured(Settings(), SecurityFlags(oidc=OidcFlags("https://issuer", "me", **flags))).sources.issuers[0]

    plain = issuer()
    assert (plain.issuer.audiences, plain.claimMappings.username.claim, plain.claimMappings.username.prefix) == (["me"], "sub", "https://issuer#")
    assert plain.algorithms == ("RS256",)
    assert issuer(username_claim="email").claimMappings.username.prefix == ""
    assert issuer(username_prefix="-").claimMappings.username.prefix == ""
    whole = issuer(groups_claim="g", groups_prefix="x:", required=("a=b", "c=d=e"))
    assert (whole.claimMappings.groups.claim, whole.claimMappings.groups.prefix) == ("g", "x:")
    assert [(rule.claim, rule.requiredValue) for rule in whole.claimValidationRules] == [("a", "b"), ("c", "d=e")]


@pytest.mark.parametrize(("flags", "why"), [
    (SecurityFlags(oidc=OidcFlags("https://x")), "must be specified together"), (SecurityFlags(oidc=OidcFlags("http://x", "me")), "https"),
    (SecurityFlags(oidc=OidcFlags("https://x", "me", required=("a",))), "claim=value"),
    (SecurityFlags(oidc=OidcFlags("https://x", "me", algorithms=("none",))), "unsupported signing alg: none"),
    (SecurityFlags(oidc=OidcFlags("https://x", "me"), authentication=Path("/x")), "mutually exclusive"),
    (SecurityFlags(authentication=Path("/none")), "/none can't be read"), (SecurityFlags(headers=HeaderFlags(Path("/dev/null"))), "PEM"),
    (SecurityFlags(token_webhook=TokenWebhookFlags(Path("/none"))), "/none does not exist"),
])
def test_wrong_identity_flags_are_told(flags: SecurityFlags, why: str) -> None:
    with pytest.raises(ConfigError) as caught:
        secured(Settings(), flags)
    assert why in caught.value.message


def test_an_authentication_configuration_says_where_nobody_may_ask(tmp_path: Path) -> None:
    path = tmp_path / "auth.yaml"
    path.write_text("""
apiVersion: apiserver.config.k8s.io/v1
kind: AuthenticationConfiguration
anonymous: {enabled: true, conditions: [{path: /livez}]}
""")
    settings = secured(Settings(), SecurityFlags(authentication=path))
    assert (settings.anonymous, settings.sources.anonymous_paths) == (True, ("/livez",))
    with pytest.raises(ConfigError, match="--anonymous-auth flag cannot be set"):
        secured(Settings(), SecurityFlags(authentication=path, anonymous=False))


def test_front_proxies_authority_joins_the_handshake(tmp_path: Path) -> None:
    now = SystemClock().now()
    mine, proxies = tmp_path / "ca.crt", tmp_path / "proxies.crt"
    mine.write_bytes(pki.new_ca("a", now=now).certificate)
    proxies.write_bytes(pki.new_ca("b", now=now).certificate)
    flags = SecurityFlags(headers=HeaderFlags(proxies))
    assert secured(Settings(), flags).sources.headers is not None
    assert handshake_ca(flags, mine, tmp_path).read_bytes().count(b"BEGIN CERTIFICATE") == 2
    assert handshake_ca(SecurityFlags(), mine, tmp_path) == mine


def test_durations_are_gos() -> None:
    assert (seconds("2m0s", "f"), seconds("500ms", "f"), seconds("0", "f")) == (120.0, 0.5, 0.0)
    for wrong in ("x", "-1s"):
        with pytest.raises(ConfigError, match="--flag"):
            seconds(wrong, "--flag")


def test_authorization_flags(tmp_path: Path) -> None:
    path = tmp_path / "w.kubeconfig"
    kubeconfig.write(path, kubeconfig.build("w", kubeconfig.Access("https://remote/reviews")))
    assert secured(Settings(), SecurityFlags(authorization=AuthorizationFlags(modes=("RBAC", "Node")))).authorization.chain == ("RBAC", "Node")
    flags = AuthorizationFlags(modes=("RBAC", "Webhook"), webhook=path, version="v1", authorized="1m", unauthorized="0s")
    hook = secured(Settings(), SecurityFlags(authorization=flags)).authorization.chain[1]
    assert isinstance(hook, WebhookSettings)
    assert (hook.access.server, hook.authorized_seconds, hook.unauthorized_seconds, hook.version) == ("https://remote/reviews", 60, 0, "v1")
    for wrong, why in ((AuthorizationFlags(webhook=path), "without mode Webhook"), (AuthorizationFlags(modes=("ABAC",)), "not a valid mode"),
                       (AuthorizationFlags(path, modes=("RBAC",)), "can not be specified"), (AuthorizationFlags(path), "is no AuthorizationConfiguration|can't be read")):
        with pytest.raises(ConfigError, match=why):
            secured(Settings(), SecurityFlags(authorization=wrong))


def test_admission_plugins_are_left_out_by_name() -> None:
    flags = SecurityFlags(enabled_admission=("NodeRestriction", "JobValidation"), disabled_admission=("PodSecurity", "ResourceQuota"))
    assert secured(Settings(), flags).disabled_admission == {"PodSecurity", "ResourceQuota"}
    for wrong, why in ((SecurityFlags(disabled_admission=("Nope",)), 'disable-admission-plugins plugin "Nope" is unknown'),
                       (SecurityFlags(disabled_admission=("RBACEscalation",)), "is unknown"),
                       (SecurityFlags(enabled_admission=("Priority",), disabled_admission=("Priority",)), "overlapped")):
        with pytest.raises(ConfigError, match=why):
            secured(Settings(), wrong)
