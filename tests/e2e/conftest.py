"""Fixtures of the tests on real parts: one real and one simulated cluster a session, a namespace a test."""

from __future__ import annotations

import itertools
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.real import IMAGE, Cluster, Space, machine, sampan
from e2e.simulated import left_of
from sampan.testing import require
from sampan.testing.waiting import until_true

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def real_cluster() -> Iterator[Cluster]:
    """A real cluster with the busybox image; proven gone at the end."""
    require.containers()
    require.program("kubectl")
    with tempfile.TemporaryDirectory(prefix="sampan-e2e-") as home:
        before = machine(home)
        cluster = Cluster(Path(home), "e2e")
        try:
            sampan("up", "--name", cluster.name, SAMPAN_HOME=home)
            sampan("image", "build", "busybox", "-t", IMAGE, "--name", cluster.name, SAMPAN_HOME=home)
            until_true(lambda: not cluster.get("node", cluster.node)["spec"].get("taints"), "the node is ready for pods")
            yield cluster
        finally:
            sampan("down", "--name", cluster.name, "--purge", SAMPAN_HOME=home)
        assert machine(home).more_than(before) == {}


@pytest.fixture
def space(real_cluster: Cluster) -> Iterator[Space]:
    """A namespace of the test's own."""
    name = f"test-{next(_numbers)}"
    real_cluster.kubectl("create", "-f", "-", input=json.dumps({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}))
    until_true(lambda: real_cluster.get("serviceaccount", "default", "-n", name), "the default service account")
    yield Space(real_cluster, name)
    real_cluster.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture(scope="session")
def simulated_cluster() -> Iterator[Cluster]:
    """A cluster of two simulated nodes; proven gone at the end."""
    require.program("kubectl")
    with tempfile.TemporaryDirectory(prefix="sampan-simulated-") as home:
        cluster = Cluster(Path(home), "simulated")
        try:
            sampan("up", "--name", cluster.name, "--simulated", "--nodes", "2", SAMPAN_HOME=home)
            until_true(lambda: not any(node["spec"].get("taints") for node in cluster.get("nodes")["items"]), "the nodes are ready for pods")
            yield cluster
        finally:
            sampan("down", "--name", cluster.name, "--purge", SAMPAN_HOME=home)
        assert left_of(cluster) == []


@pytest.fixture
def simulated_space(simulated_cluster: Cluster) -> Iterator[Space]:
    """A namespace of the test's own on simulated nodes."""
    name = f"test-{next(_numbers)}"
    simulated_cluster.kubectl("create", "namespace", name)
    until_true(lambda: simulated_cluster.get("serviceaccount", "default", "-n", name), "the default service account")
    yield Space(simulated_cluster, name)
    simulated_cluster.kubectl("delete", "namespace", name, "--wait=false")
