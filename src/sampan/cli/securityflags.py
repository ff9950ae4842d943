"""The flags of identity, audit and encryption, which `sampan server` and `sampan control-plane` share. Upstream's names."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sampan.cluster.security import SecurityFlags


def add(parser: argparse.ArgumentParser) -> None:
    """The flags."""
    _identity(parser.add_argument_group("identity"))
    _authorization(parser.add_argument_group("authorization"))
    _admission(parser.add_argument_group("admission"))
    _audit(parser.add_argument_group("audit"))
    parser.add_argument_group("encryption at rest").add_argument(
        "--encryption-provider-config", type=Path, metavar="FILE", help="which resources are stored with which keys (EncryptionConfiguration)")


def _identity(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--anonymous-auth", type=_truth, metavar="BOOL", help="whether requests without credentials are taken (default true)")
    group.add_argument("--authentication-config", type=Path, metavar="FILE", help="issuers of tokens, anonymous requests (AuthenticationConfiguration)")
    group.add_argument("--authentication-token-webhook-config-file", type=Path, metavar="FILE", help="kubeconfig of a server that knows tokens")
    group.add_argument("--authentication-token-webhook-cache-ttl", default="2m0s", metavar="TIME", help="how long its answers count (default 2m0s)")
    group.add_argument("--authentication-token-webhook-version", default="v1beta1", choices=("v1", "v1beta1"), help="of TokenReview (default v1beta1)")
    group.add_argument("--oidc-issuer-url", default="", metavar="URL", help="OpenID issuer, https only")
    group.add_argument("--oidc-client-id", default="", metavar="ID", help="whom its tokens must be for")
    group.add_argument("--oidc-username-claim", default="sub", metavar="CLAIM", help="claim that is the user name (default sub)")
    group.add_argument("--oidc-username-prefix", default="", metavar="TEXT", help="before user names (default: the issuer and #; - for nothing)")
    group.add_argument("--oidc-groups-claim", default="", metavar="CLAIM", help="claim with the groups")
    group.add_argument("--oidc-groups-prefix", default="", metavar="TEXT", help="before groups")
    group.add_argument("--oidc-required-claim", default=[], action="append", metavar="CLAIM=VALUE", help="what tokens must say; may be repeated")
    group.add_argument("--oidc-ca-file", type=Path, metavar="FILE", help="authority of the issuer's certificate")
    group.add_argument("--oidc-signing-algs", default="RS256", metavar="LIST", help="accepted algorithms (default RS256)")
    group.add_argument("--requestheader-client-ca-file", type=Path, metavar="FILE", help="authority of front proxies, which name users in headers")
    for name, text in (("allowed-names", "common names that such proxies have (default: any)"), ("username-headers", "default X-Remote-User"),
                       ("uid-headers", "default none"), ("group-headers", "default X-Remote-Group"),
                       ("extra-headers-prefix", "default X-Remote-Extra-")):
        group.add_argument(f"--requestheader-{name}", default="", metavar="LIST", help=text)


def _authorization(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--authorization-config", type=Path, metavar="FILE", help="authorizers in their order (AuthorizationConfiguration)")
    group.add_argument("--authorization-mode", default="", metavar="LIST", help="Node,RBAC (default), Webhook, AlwaysAllow, AlwaysDeny")
    group.add_argument("--authorization-webhook-config-file", type=Path, metavar="FILE", help="kubeconfig of a server that answers SubjectAccessReviews")
    group.add_argument("--authorization-webhook-version", default="v1beta1", choices=("v1", "v1beta1"), help="of SubjectAccessReview (default v1beta1)")
    group.add_argument("--authorization-webhook-cache-authorized-ttl", default="5m0s", metavar="TIME", help="how long a yes counts (default 5m0s)")
    group.add_argument("--authorization-webhook-cache-unauthorized-ttl", default="30s", metavar="TIME", help="how long a no counts (default 30s)")


def _admission(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--enable-admission-plugins", default="", metavar="LIST", help="plugins that are on (all are, NodeRestriction as well)")
    group.add_argument("--disable-admission-plugins", default="", metavar="LIST", help="plugins that are left out")


def _truth(text: str) -> bool:
    if text.lower() not in ("true", "false", "1", "0", "t", "f"):
        raise argparse.ArgumentTypeError(f'"{text}" is neither true nor false')
    return text.lower() in ("true", "1", "t")


def _list(text: str) -> tuple[str, ...]:
    return tuple(one.strip() for one in text.split(",") if one.strip())


def _audit(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--audit-policy-file", type=Path, metavar="FILE", help="which requests are logged how fully (audit.k8s.io/v1 Policy)")
    group.add_argument("--audit-log-path", default="", metavar="FILE", help="file of the audit events, - for the standard output")
    group.add_argument("--audit-log-maxsize", type=int, default=0, metavar="MB", help="megabytes before the file is renamed (0: 100)")
    group.add_argument("--audit-log-maxbackup", type=int, default=0, metavar="N", help="renamed files that stay (0: all)")
    group.add_argument("--audit-log-maxage", type=int, default=0, metavar="DAYS", help="days that renamed files stay (0: for ever)")


def read(arguments: argparse.Namespace) -> SecurityFlags:
    """What was given."""
    from sampan.cluster.security import (
        AuditFlags,
        AuthorizationFlags,
        HeaderFlags,
        OidcFlags,
        SecurityFlags,
        TokenWebhookFlags,
    )

    given = arguments
    return SecurityFlags(
        audit=AuditFlags(given.audit_policy_file, given.audit_log_path, given.audit_log_maxsize, given.audit_log_maxbackup, given.audit_log_maxage),
        enabled_admission=_list(given.enable_admission_plugins), disabled_admission=_list(given.disable_admission_plugins),
        encryption=given.encryption_provider_config, anonymous=given.anonymous_auth, authentication=given.authentication_config,
        oidc=OidcFlags(given.oidc_issuer_url, given.oidc_client_id, given.oidc_username_claim, given.oidc_username_prefix, given.oidc_groups_claim,
                       given.oidc_groups_prefix, tuple(one for text in given.oidc_required_claim for one in _list(text)), given.oidc_ca_file,
                       _list(given.oidc_signing_algs)),
        token_webhook=TokenWebhookFlags(given.authentication_token_webhook_config_file, given.authentication_token_webhook_cache_ttl,
                                        given.authentication_token_webhook_version),
        headers=HeaderFlags(given.requestheader_client_ca_file, _list(given.requestheader_allowed_names), _list(given.requestheader_username_headers),
                            _list(given.requestheader_uid_headers), _list(given.requestheader_group_headers),
                            _list(given.requestheader_extra_headers_prefix)),
        authorization=AuthorizationFlags(
            given.authorization_config, _list(given.authorization_mode), given.authorization_webhook_config_file, given.authorization_webhook_version,
            given.authorization_webhook_cache_authorized_ttl, given.authorization_webhook_cache_unauthorized_ttl))
