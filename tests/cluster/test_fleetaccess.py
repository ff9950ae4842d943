"""What lets the process of a large fleet in, and as whom."""

from __future__ import annotations

import asyncio
import stat
from pathlib import Path

from sampan.aio.clock import SystemClock
from sampan.client import kubeconfig
from sampan.cluster import fleetaccess
from sampan.cluster.credentials import Credentials, CredentialSettings
from sampan.lib import pki
from sampan.lib.pkirotate import Lifetimes


def test_its_kubeconfig_shows_a_certificate_of_the_front_proxies_authority_and_is_its_own(tmp_path: Path) -> None:
    async def made() -> kubeconfig.Access:
        names = pki.server_names(host="here", addresses=["127.0.0.1"], service_address="10.96.0.1")
        flags = CredentialSettings(Lifetimes(), folder=tmp_path / "pki", names=names)
        fleetaccess.allow(tmp_path, 7443, Credentials(flags, SystemClock()).current)
        return kubeconfig.read(fleetaccess.path(tmp_path))

    access = asyncio.run(made())
    assert access.server == "https://127.0.0.1:7443"
    assert pki.facts_of(access.client_certificate).names.common_name in fleetaccess.trusting(tmp_path).names
    trusted = fleetaccess.trusting(tmp_path).ca
    assert trusted is not None
    assert pki.signed_by(access.client_certificate, trusted.read_bytes())
    assert stat.S_IMODE(fleetaccess.path(tmp_path).stat().st_mode) == 0o600


def test_nodes_are_a_group_and_controllers_have_their_rights_by_name() -> None:
    assert fleetaccess.group_of("system:node:a") == "system:nodes"
    assert fleetaccess.group_of("system:kube-scheduler") == ""
    assert fleetaccess.group_of("system:serviceaccount:kube-system:job-controller") == ""
    assert fleetaccess.group_of(fleetaccess.WATCHER_USER) == "system:masters"
