"""What the flags of identity, audit and encryption become, and what is said when they are wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from sampan.apiserver.audit.file import Rotation
from sampan.apiserver.server import Settings
from sampan.cluster.security import AuditFlags, SecurityFlags, secured
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
