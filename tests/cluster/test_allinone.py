"""`sampan up` decides: real or simulated, which port, and says in one line what is missing."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from sampan.cluster import allinone, config, fleetaccess
from sampan.cluster.allinone import UpOptions, children, configure, status, up, why_simulated
from sampan.cluster.config import APART_NODES, ClusterConfig, load
from sampan.lib.errors import ConfigError, SampanError
from sampan.testing import require


@pytest.fixture(autouse=True)
def own_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAMPAN_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(config, "RUN", tmp_path / "run")
    monkeypatch.setattr(config, "AGENT_PORT", 42250)


def test_without_containerd_nodes_are_simulated_and_one_line_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    require.root()
    monkeypatch.setattr(allinone.shutil, "which", lambda name, path=None: None if name in ("containerd", "runc") else f"/usr/bin/{name}")
    made, note = configure(UpOptions(name="x"))
    assert made.simulated
    assert note == "containerd, runc not installed: nodes are simulated, containers do not really run"
    assert not (tmp_path / "run" / made.bridge).exists()


def test_without_root_nodes_are_simulated_and_one_line_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allinone.os, "geteuid", lambda: 1000)
    made, note = configure(UpOptions(name="x"))
    assert made.simulated
    assert note.startswith("real containers need root: nodes are simulated")
    assert "containerd" not in why_simulated("unix:///somebody/elses.sock")


def test_asking_for_simulated_nodes_needs_no_explanation() -> None:
    made, note = configure(UpOptions(name="x", simulated=True, nodes=3))
    assert (made.simulated, made.nodes, note) == (True, 3, "")
    assert load(allinone.folder_of("x", None)) == made
    # and it stays so
    assert configure(UpOptions(name="x"))[0] == made
    assert configure(UpOptions(name="x", nodes=5))[0].nodes == 5


def test_the_next_free_port_is_taken() -> None:
    first, _ = configure(UpOptions(name="a", simulated=True))
    with socket.create_server(("0.0.0.0", first.port)):
        assert configure(UpOptions(name="b", simulated=True))[0].port > first.port


def test_a_port_in_use_is_told_with_what_to_do() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"port {port} is in use") as refused:
            up(UpOptions(name="x", simulated=True, port=port), print)
    assert "--port" in (refused.value.hint or "")


def test_contradictions_are_refused() -> None:
    folder = allinone.folder_of("real", None)
    config.save(folder, ClusterConfig("real"))
    with pytest.raises(ConfigError, match="has real nodes"):
        configure(UpOptions(name="real", simulated=True))


def test_a_real_machine_is_one_node(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allinone, "why_simulated", lambda endpoint="": "")
    with pytest.raises(ConfigError, match="one machine is one node"):
        configure(UpOptions(name="x", nodes=2))
    assert not list(config.RUN.glob("*")), "what is refused claims no number"


def test_a_cluster_whose_process_ends_again_and_again_is_given_up_with_its_last_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = replace(configure(UpOptions(name="x", simulated=True))[0])
    folder = allinone.folder_of("x", None)
    (folder / "run").mkdir()
    (folder / "logs").mkdir()
    (folder / "run" / "control-plane.ended").write_text("4\n")
    (folder / "logs" / "control-plane.log").write_text("the reason\n")
    with pytest.raises(SampanError, match="does not start") as given_up:
        allinone._wait_ready(made, folder)
    assert "the reason" in str(given_up.value)


def test_the_agent_starts_when_its_credentials_are_there(tmp_path: Path) -> None:
    control, agent = children(ClusterConfig("x", nodes=1, simulated=True), tmp_path)
    assert control.after is None
    assert agent.after == tmp_path / "nodes" / agent.name / "kubeconfig"


def test_several_simulated_nodes_live_in_the_control_plane_and_many_in_one_process_of_their_own(tmp_path: Path) -> None:
    assert [child.name for child in children(ClusterConfig("x", nodes=APART_NODES - 1, simulated=True), tmp_path)] == ["control-plane"]
    control, fleet = children(ClusterConfig("x", nodes=APART_NODES, simulated=True), tmp_path)
    assert (control.after, fleet.name) == (None, "fleet")
    assert fleet.after == fleetaccess.path(tmp_path)


def test_a_simulated_cluster_comes_up_and_goes(tmp_path: Path) -> None:
    # given
    environment = {**os.environ, "SAMPAN_HOME": str(tmp_path / "home")}

    def sampan(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "-m", "sampan", *words], capture_output=True, text=True, check=False, env=environment)
    # when
    done = sampan("up", "--name", "quick", "--simulated", "--nodes", "2")
    try:
        # then
        assert done.returncode == 0, done.stderr
        assert "2 simulated nodes" in done.stdout
        folder = tmp_path / "home" / "quick"
        assert all(state.startswith("running") for state in status(folder).values())
        assert sampan("status", "--name", "quick").returncode == 0
        assert "was up already" in sampan("up", "--name", "quick").stdout
    finally:
        gone = sampan("down", "--name", "quick", "--purge")
    assert gone.stdout == "cluster quick is down\n", gone.stderr
    assert not folder.exists()
    assert sampan("status", "--name", "quick").returncode == 3
    assert sampan("down", "--name", "quick").stdout == "cluster quick was not up\n"
