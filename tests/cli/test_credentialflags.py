from __future__ import annotations

import argparse
from datetime import timedelta
from pathlib import Path

from sampan.cli import credentialflags
from sampan.cluster.credentials import CredentialFlags, GivenFiles
from sampan.lib.pkirotate import Lifetimes


def parsed(*words: str) -> CredentialFlags:
    parser = argparse.ArgumentParser()
    credentialflags.add(parser)
    return credentialflags.read(parser.parse_args(words))


def test_without_flags_everything_is_made_and_lives_as_long_as_upstreams() -> None:
    assert parsed() == CredentialFlags()
    assert parsed().lifetimes.leaf == timedelta(days=365)


def test_flags_name_files_and_lives() -> None:
    found = parsed("--client-ca-file", "c", "--tls-cert-file", "t.crt", "--tls-private-key-file", "t.key", "--service-account-signing-key-file", "s",
                   "--service-account-key-file", "a", "--service-account-key-file", "b", "--ca-certificate-validity-period", "48h",
                   "--certificate-validity-period", "1h", "--service-account-key-period", "90m", "--certificate-check-period", "5s")
    assert found.given == GivenFiles(Path("c"), Path("t.crt"), Path("t.key"), Path("s"), (Path("a"), Path("b")))
    assert found.lifetimes == Lifetimes(timedelta(hours=48), timedelta(hours=1), timedelta(minutes=90))
    assert found.look_seconds == 5
