from __future__ import annotations

import stat
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sampan.lib import pki
from sampan.lib.errors import ConfigError
from sampan.lib.pkidir import INDEX, PkiFolder, ensure_cluster

START = datetime(2026, 3, 1, tzinfo=UTC)
NAMES = pki.server_names(host="box")


class At:
    """A clock that stands still."""

    def __init__(self, moment: datetime = START) -> None:
        self.moment = moment

    def now(self) -> datetime:
        return self.moment

    def monotonic(self) -> float:
        return 0.0


def _contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_everything_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    # when the folder is made
    folder = tmp_path / "pki"
    made = ensure_cluster(folder, NAMES, At())
    # then every file is private, and each certificate is of the authority
    modes = {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert modes == {0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for leaf in (made.server, made.admin, made.kubelet_client):
        assert pki.signed_by(leaf.certificate.read_bytes(), made.ca.certificate.read_bytes())
    assert pki.facts_of(made.admin.certificate.read_bytes()).names.organizations == ("system:masters",)
    # and a second time nothing changes
    before = _contents(folder)
    ensure_cluster(folder, NAMES, At(START + timedelta(days=1)))
    assert _contents(folder) == before


def test_a_second_start_does_not_even_import_cryptography(tmp_path: Path) -> None:
    ensure_cluster(tmp_path, NAMES, At())
    program = (
        "import sys\nfrom pathlib import Path\nfrom datetime import datetime\n"
        "from sampan.lib import pki, pkidir\n"
        "class At:\n    def now(self): return datetime.fromisoformat(sys.argv[2])\n"
        "pkidir.ensure_cluster(Path(sys.argv[1]), pki.server_names(host='box'), At())\n"
        "assert not any(name.startswith('cryptography') for name in sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path), START.isoformat()], check=True)


def test_new_names_make_a_new_server_certificate_and_leave_the_rest(tmp_path: Path) -> None:
    ensure_cluster(tmp_path, NAMES, At())
    before = _contents(tmp_path)
    ensure_cluster(tmp_path, pki.server_names(host="box", addresses=["192.168.1.9"]), At())
    changed = {name for name, body in _contents(tmp_path).items() if before[name] != body}
    assert changed == {"apiserver.crt", "apiserver.key", INDEX}
    assert "192.168.1.9" in pki.facts_of((tmp_path / "apiserver.crt").read_bytes()).names.addresses


def test_certificates_are_renewed_before_they_expire(tmp_path: Path) -> None:
    made = ensure_cluster(tmp_path, NAMES, At())
    before = _contents(tmp_path)
    late = made.renew_after() + timedelta(seconds=1)
    assert late < pki.facts_of(before["apiserver.crt"]).not_after - timedelta(days=30)
    again = ensure_cluster(tmp_path, NAMES, At(late))
    assert pki.facts_of((tmp_path / "apiserver.crt").read_bytes()).not_after > late + timedelta(days=360)
    assert (tmp_path / "ca.crt").read_bytes() == before["ca.crt"]
    assert again.renew_after() > late


def test_an_authority_of_another_name_keeps_its_key(tmp_path: Path) -> None:
    # given an authority that somebody else has put there
    pair = pki.new_ca("Example Corp", now=START)
    (tmp_path / "ca.crt").write_bytes(pair.certificate)
    (tmp_path / "ca.key").write_bytes(pair.key)
    ensure_cluster(tmp_path, NAMES, At())
    before = _contents(tmp_path)
    # when it is old
    ensure_cluster(tmp_path, NAMES, At(START + timedelta(days=3000)))
    after = _contents(tmp_path)
    assert after["ca.crt"] != before["ca.crt"]
    assert after["ca.key"] == before["ca.key"]
    assert pki.signed_by(before["admin.crt"], after["ca.crt"])


@pytest.mark.parametrize("index", [None, b"{", b"[]", b'{"ca": {}}', b'{"ca": {"files": "", "wanted": "", "renew_after": "x"}}'])
def test_without_its_index_the_files_speak_for_themselves(tmp_path: Path, index: bytes | None) -> None:
    # given good files and an index that is gone or broken
    ensure_cluster(tmp_path, NAMES, At())
    before = _contents(tmp_path)
    (tmp_path / INDEX).unlink()
    if index is not None:
        (tmp_path / INDEX).write_bytes(index)
    # then nothing is made anew, and the index is back
    ensure_cluster(tmp_path, NAMES, At())
    assert _contents(tmp_path) == before


def test_a_damaged_certificate_is_told(tmp_path: Path) -> None:
    ensure_cluster(tmp_path, NAMES, At())
    (tmp_path / "ca.crt").write_bytes(b"broken")
    with pytest.raises(ConfigError, match=r"ca\.crt can't be read"):
        ensure_cluster(tmp_path, NAMES, At())


def test_an_authority_without_its_key_is_told_and_not_replaced(tmp_path: Path) -> None:
    ensure_cluster(tmp_path, NAMES, At())
    (tmp_path / "ca.key").unlink()
    before = _contents(tmp_path)
    with pytest.raises(ConfigError, match="is there but"):
        ensure_cluster(tmp_path, NAMES, At())
    assert _contents(tmp_path) == before


def test_a_key_of_another_authority_is_told(tmp_path: Path) -> None:
    ensure_cluster(tmp_path, NAMES, At())
    (tmp_path / "ca.key").write_bytes(pki.new_signing_key())
    with pytest.raises(ConfigError, match="is not the key of"):
        ensure_cluster(tmp_path, NAMES, At())


def test_a_swapped_leaf_is_made_anew(tmp_path: Path) -> None:
    # given a leaf that another authority signed
    ensure_cluster(tmp_path, NAMES, At())
    stranger = pki.issue(pki.new_ca("other", now=START), NAMES, ("server auth",), now=START)
    (tmp_path / "apiserver.crt").write_bytes(stranger.certificate)
    (tmp_path / "apiserver.key").write_bytes(stranger.key)
    # then it is replaced by one of ours
    made = ensure_cluster(tmp_path, NAMES, At())
    assert pki.signed_by(made.server.certificate.read_bytes(), made.ca.certificate.read_bytes())


def test_the_signing_key_stays_and_its_public_half_follows(tmp_path: Path) -> None:
    folder = PkiFolder(tmp_path, At())
    key, public, _ = folder.ensure_signing_key("sa")
    first = key.read_bytes()
    public.unlink()
    folder.ensure_signing_key("sa")
    assert key.read_bytes() == first
    assert public.read_bytes() == pki.public_key(first)
