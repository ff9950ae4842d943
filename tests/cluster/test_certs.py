from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from sampan.aio.clock import SystemClock
from sampan.cli.main import main
from sampan.cluster import certs
from sampan.cluster.credentials import Credentials, CredentialSettings
from sampan.cluster.provision import Folder, NodeIdentity, provision
from sampan.lib import pki


def made(data: Path) -> Credentials:
    """A cluster's folder with one node."""
    credentials = Credentials(CredentialSettings(folder=data / "pki", names=pki.server_names()), SystemClock())
    provision(Folder(data / "nodes" / "n1"), credentials.current.keys.ca, "https://127.0.0.1:1", NodeIdentity("n1", ("127.0.0.1",)), SystemClock())
    return credentials


def test_every_certificate_is_listed_once_with_its_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made(tmp_path)
    assert main(["certs", "status", "--data", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [
        "pki:", "admin", "apiserver", "apiserver-kubelet-client", "ca", "front-proxy-ca", "front-proxy-client",
        "nodes/n1:", "kubelet", "kubelet-client", "proxy-client"]
    assert "364d  kubernetes-admin" in lines[1]
    assert "3649d  authority" in lines[4]


async def _look(credentials: Credentials) -> bool:
    return await credentials.look()


def test_what_is_to_be_renewed_is_made_anew_with_the_next_look_and_never_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # given a server that runs
    credentials = made(tmp_path)
    before = {path.name: path.read_bytes() for path in (tmp_path / "pki").glob("*.crt")}
    # when somebody wants new certificates, then all are still there
    assert main(["certs", "renew", "--data", str(tmp_path)]) == 0
    assert "admin, apiserver, apiserver-kubelet-client, front-proxy-client" in capsys.readouterr().out
    assert {path.name: path.read_bytes() for path in (tmp_path / "pki").glob("*.crt")} == before
    # and new with the next look, all but the authorities
    assert asyncio.run(_look(credentials))
    changed = {path.name for path in (tmp_path / "pki").glob("*.crt") if path.read_bytes() != before[path.name]}
    assert changed == {"admin.crt", "apiserver.crt", "apiserver-kubelet-client.crt", "front-proxy-client.crt"}


def test_a_folder_without_certificates_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["certs", "status", "--data", str(tmp_path)]) == 1
    assert "there are no certificates in" in capsys.readouterr().err


@pytest.mark.parametrize(("left", "text"), [(timedelta(days=-1), "ended"), (timedelta(seconds=5), "5s"), (timedelta(minutes=61), "1h"), (timedelta(days=3), "3d")])
def test_time_that_is_left_is_told_in_its_largest_unit(left: timedelta, text: str) -> None:
    now = SystemClock().now()
    assert certs.Certificate("x", "x", now + left, authority=False).left(now) == text
