"""A cluster's folder: what is kept, what is refused, and numbers that no two clusters share."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from sampan.cluster import config
from sampan.cluster.config import ClusterConfig, check_name, free_index, load, save
from sampan.lib.errors import ConfigError


@pytest.fixture
def run_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Numbers are claimed here instead of the machine's own folder."""
    monkeypatch.setattr(config, "RUN", tmp_path / "run")
    monkeypatch.setattr(config, "AGENT_PORT", 42250)
    return tmp_path / "run"


def test_what_is_saved_is_loaded_and_belongs_to_its_owner_alone(tmp_path: Path) -> None:
    made = ClusterConfig("c", index=3, port=7000, nodes=2, simulated=True)
    save(tmp_path / "c", made)
    assert load(tmp_path / "c") == made
    assert (tmp_path / "c" / "config.json").stat().st_mode & 0o777 == 0o600
    assert load(tmp_path / "none") is None


@pytest.mark.parametrize(("text", "words"), [
    ("{", "cannot be read"), ('{"name": "c", "colour": 1}', "cannot be read"), (json.dumps({"name": "c", "format": 99}), "newer version")])
def test_a_file_that_cannot_be_understood_is_told(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(ConfigError, match=words) as refused:
        load(tmp_path)
    assert refused.value.hint


@pytest.mark.parametrize("name", ["", "-a", "UPPER", "a b", "a/b", "ä", "x" * 31])
def test_a_name_becomes_part_of_others_names(name: str) -> None:
    with pytest.raises(ConfigError, match="no name for a cluster"):
        check_name(name)


def test_clusters_share_no_range_bridge_table_or_cgroup() -> None:
    one, two = ClusterConfig("default", 0), ClusterConfig("two", 1)
    for field in ("service_range", "pod_range", "bridge", "nft_table", "cgroup_root", "dns_ip"):
        assert getattr(one, field) != getattr(two, field)
    assert (one.service_range, one.pod_range, one.dns_ip) == ("10.96.0.0/16", "10.244.0.0/16", "10.96.0.10")
    assert [one.node_range(0), one.node_range(255)] == ["10.244.0.0/24", "10.244.255.0/24"]
    with pytest.raises(ConfigError, match="no room"):
        one.node_range(256)


def test_numbers_are_given_once(tmp_path: Path, run_folder: Path) -> None:
    # given two clusters of one home, the second not yet saved, and one of another
    save(tmp_path / "a", ClusterConfig("a", index=free_index(tmp_path)))
    known = load(tmp_path / "a")
    assert known is not None
    # when
    others = [free_index(tmp_path), free_index(tmp_path / "elsewhere")]
    # then
    assert len({known.index, *others}) == (3 if run_folder.exists() else 2)


def test_a_number_whose_agent_port_is_taken_is_passed_over(tmp_path: Path, run_folder: Path) -> None:
    first = free_index(tmp_path)
    config.release(ClusterConfig("x", index=first))
    with socket.create_server(("0.0.0.0", config.AGENT_PORT + config.AGENT_PORT_STEP * first)):
        assert free_index(tmp_path) != first


def test_a_released_number_is_free_again(tmp_path: Path, run_folder: Path) -> None:
    first = free_index(tmp_path)
    config.release(ClusterConfig("x", index=first))
    assert free_index(tmp_path) == first
