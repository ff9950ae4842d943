"""The flags of certificates and keys: upstream's names for files, kubeadm's for how long what is made lives."""

from __future__ import annotations

import argparse
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from sampan.cli.durations import seconds

if TYPE_CHECKING:
    from sampan.cluster.credentials import CredentialFlags

FILES = (("client-ca-file", "authorities of client certificates, besides the cluster's own"),
         ("tls-cert-file", "the server's certificate (default: made and renewed in DIR/pki)"), ("tls-private-key-file", "its key"),
         ("service-account-signing-key-file", "the key that signs service account tokens (default: made and renewed in DIR/pki)"))
PERIODS = (("ca-certificate-validity-period", "how long an authority that is made lives (default 87600h)"),
           ("certificate-validity-period", "how long a certificate that is made lives (default 8760h)"),
           ("service-account-key-period", "how long a key signs service account tokens (default 8760h)"))


def add_check(parser: argparse.ArgumentParser | argparse._ArgumentGroup, default: str) -> None:
    """How often the files are looked at."""
    parser.add_argument("--certificate-check-period", type=seconds, default=seconds(default), metavar="D",
                        help=f"how often the files of certificates and keys are looked at (default {default})")


def add(parser: argparse.ArgumentParser) -> None:
    """The flags of who makes them."""
    group = parser.add_argument_group("certificates and keys")
    for flag, text in FILES:
        group.add_argument(f"--{flag}", type=Path, metavar="FILE", help=text)
    group.add_argument("--service-account-key-file", type=Path, metavar="FILE", action="append", default=[],
                       help="keys whose service account tokens are believed; may be given several times")
    for flag, text in PERIODS:
        group.add_argument(f"--{flag}", type=seconds, metavar="D", help=text)
    add_check(group, "1m")


def read(arguments: argparse.Namespace) -> CredentialFlags:
    """What was given."""
    from sampan.cluster.credentials import CredentialFlags, GivenFiles
    from sampan.lib.pkirotate import Lifetimes

    periods = {"ca": arguments.ca_certificate_validity_period, "leaf": arguments.certificate_validity_period,
               "signing_key": arguments.service_account_key_period}
    lifetimes = Lifetimes(**{name: timedelta(seconds=given) for name, given in periods.items() if given is not None})
    given = GivenFiles(arguments.client_ca_file, arguments.tls_cert_file, arguments.tls_private_key_file,
                       arguments.service_account_signing_key_file, tuple(arguments.service_account_key_file))
    return CredentialFlags(lifetimes, given, arguments.certificate_check_period)
