"""The flags of identity, audit and encryption, which `sampan server` and `sampan control-plane` share. Upstream's names."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sampan.cluster.security import SecurityFlags


def add(parser: argparse.ArgumentParser) -> None:
    """The flags."""
    _audit(parser.add_argument_group("audit"))
    parser.add_argument_group("encryption at rest").add_argument(
        "--encryption-provider-config", type=Path, metavar="FILE", help="which resources are stored with which keys (EncryptionConfiguration)")


def _audit(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--audit-policy-file", type=Path, metavar="FILE", help="which requests are logged how fully (audit.k8s.io/v1 Policy)")
    group.add_argument("--audit-log-path", default="", metavar="FILE", help="file of the audit events, - for the standard output")
    group.add_argument("--audit-log-maxsize", type=int, default=0, metavar="MB", help="megabytes before the file is renamed (0: 100)")
    group.add_argument("--audit-log-maxbackup", type=int, default=0, metavar="N", help="renamed files that stay (0: all)")
    group.add_argument("--audit-log-maxage", type=int, default=0, metavar="DAYS", help="days that renamed files stay (0: for ever)")


def read(arguments: argparse.Namespace) -> SecurityFlags:
    """What was given."""
    from sampan.cluster.security import AuditFlags, SecurityFlags

    return SecurityFlags(audit=AuditFlags(
        arguments.audit_policy_file, arguments.audit_log_path, arguments.audit_log_maxsize, arguments.audit_log_maxbackup,
        arguments.audit_log_maxage), encryption=arguments.encryption_provider_config)
