"""kubeconfig files."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from sampan.client.kubeconfig import Access, access, build, load, merge, read, without, write
from sampan.lib.errors import ConfigError

ACCESS = Access("https://127.0.0.1:6443", b"CA", client_certificate=b"CERT", client_key=b"KEY")


def test_what_was_written_is_read_back_and_private(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "config"
    write(path, build("one", ACCESS))
    assert read(path) == ACCESS
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_merging_keeps_other_clusters_and_replaces_ones_own() -> None:
    both = merge(build("one", ACCESS), build("two", Access("https://two")))
    again = merge(both, build("two", Access("https://new")))
    assert ([c["name"] for c in again["clusters"]], again["current-context"]) == (["one", "two"], "two")
    assert (access(again).server, access(again, context="one").server) == ("https://new", "https://127.0.0.1:6443")
    left = without(again, ["two", "two-admin"])
    assert ([c["name"] for c in left["contexts"]], left["current-context"]) == (["one"], "")


def test_file_names_start_where_the_kubeconfig_is(tmp_path: Path) -> None:
    (tmp_path / "ca.crt").write_text("CA")
    config = build("one", Access("https://x"))
    config["clusters"][0]["cluster"]["certificate-authority"] = "ca.crt"
    write(tmp_path / "config", config)
    assert read(tmp_path / "config").ca == b"CA"


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        load(tmp_path / "none")
    (tmp_path / "list").write_text("- a")
    with pytest.raises(ConfigError, match="is no kubeconfig"):
        load(tmp_path / "list")
    with pytest.raises(ConfigError, match='no context "x"'):
        access(build("one", ACCESS), context="x")
