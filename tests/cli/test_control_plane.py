"""The flags of `sampan control-plane`."""

from __future__ import annotations

from pathlib import Path

import pytest

from sampan.cli.main import main
from sampan.cluster.config import ClusterConfig, save


def test_an_unknown_controller_is_refused_before_anything_is_served(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(tmp_path, ClusterConfig("c", simulated=True))
    before = sorted(tmp_path.rglob("*"))
    assert main(["control-plane", "--data", str(tmp_path), "--controllers=*,-nonsense"]) == 1
    said = capsys.readouterr().err
    assert '"nonsense" is not in the list of known controllers' in said
    assert "known are: " in said
    assert sorted(tmp_path.rglob("*")) == before


def test_without_a_cluster_it_says_how_to_make_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["control-plane", "--data", str(tmp_path)]) == 1
    assert "start one with `sampan up`" in capsys.readouterr().err
