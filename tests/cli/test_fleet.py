"""The flags of `sampan fleet`."""

from __future__ import annotations

from pathlib import Path

import pytest

from sampan.cli.main import main
from sampan.cluster.config import ClusterConfig, save


@pytest.mark.parametrize("nodes", [0, 2])
def test_a_cluster_whose_nodes_have_no_process_of_their_own_is_refused(nodes: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if nodes:
        save(tmp_path, ClusterConfig("c", simulated=True, nodes=nodes))
    assert main(["fleet", "--data", str(tmp_path)]) == 1
    assert "start one with `sampan up --simulated --nodes 500`, or more" in capsys.readouterr().err


def test_without_its_access_it_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(tmp_path, ClusterConfig("c", simulated=True, nodes=500))
    assert main(["fleet", "--data", str(tmp_path)]) == 1
    assert "kubeconfig" in capsys.readouterr().err
