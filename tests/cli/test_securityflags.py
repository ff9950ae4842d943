"""The flags of identity, audit and encryption as the command line gives them."""

from __future__ import annotations

import argparse
from pathlib import Path

from sampan.cli import securityflags
from sampan.cluster.security import AuditFlags, SecurityFlags


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
