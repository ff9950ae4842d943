from __future__ import annotations

from pathlib import Path

import yaml

from sampan.client import kubeconfig
from sampan.client.kubeconfig import Access
from sampan.cluster import merged
from sampan.cluster.config import ClusterConfig, load, save


def cluster(folder: Path, token: str) -> ClusterConfig:
    """A cluster's folder whose administrator has this token."""
    kubeconfig.write(folder / "admin.kubeconfig", kubeconfig.build("sampan", Access("https://127.0.0.1:6443", token=token)))
    config = load(folder) or ClusterConfig(name="default")
    save(folder, config)
    return config


def test_the_entry_follows_the_cluster_and_the_rest_stays(tmp_path: Path) -> None:
    # given somebody's kubeconfig, into which a cluster was merged, and who works with another one since
    mine = tmp_path / "config"
    kubeconfig.write(mine, kubeconfig.build("work", Access("https://work", token="w")))
    folder = tmp_path / "data"
    merged.merge(mine, folder / "admin.kubeconfig", folder, cluster(folder, "old"))
    assert kubeconfig.read(mine).token == "old"
    config = kubeconfig.load(mine)
    config["current-context"] = "work"
    kubeconfig.write(mine, config)
    assert not merged.refresh(folder)
    # when the cluster's access is renewed
    cluster(folder, "new")
    assert merged.refresh(folder)
    # then the entry has it, and nothing else has changed
    assert kubeconfig.read(mine, context="sampan").token == "new"
    assert kubeconfig.read(mine).server == "https://work"
    # and who has taken the entry out is left alone
    kubeconfig.write(mine, kubeconfig.without(kubeconfig.load(mine), ["sampan", "sampan-admin"]))
    cluster(folder, "newer")
    assert not merged.refresh(folder)
    assert "newer" not in mine.read_text()
    assert yaml.safe_load(mine.read_text())["current-context"] == "work"


def test_a_cluster_that_was_merged_nowhere_or_whose_file_is_gone_is_no_error(tmp_path: Path) -> None:
    config = cluster(tmp_path, "t")
    assert not merged.refresh(tmp_path)
    merged.merge(tmp_path / "gone", tmp_path / "admin.kubeconfig", tmp_path, config)
    (tmp_path / "gone").unlink()
    assert not merged.refresh(tmp_path)
