"""helm 3 and helm 4, built from their published modules, on a simulated cluster: charts are installed, upgraded, taken back.

The charts are the tests' own (`charts`). The binaries come from `tools/go_clients.py`.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from e2e import charts
from e2e.programs import built
from e2e.real import Cluster, Space
from sampan.testing.waiting import until_true

pytestmark = pytest.mark.e2e


@dataclass(frozen=True)
class Helm:
    """One helm in a namespace of its own."""

    program: str
    space: Space
    home: Path

    @property
    def fourth(self) -> bool:
        return self.program.endswith("4")

    def ask(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run helm to its end, whatever that is."""
        folders = {f"HELM_{name}_HOME": str(self.home / name.lower()) for name in ("CACHE", "CONFIG", "DATA")}
        return subprocess.run([self.program, "--namespace", self.space.name, *words], capture_output=True, text=True, check=False, timeout=180,
                              env={**self.space.cluster.environment, **folders}, stdin=subprocess.DEVNULL)

    def __call__(self, *words: str) -> str:
        """Run helm; what it printed."""
        done = self.ask(*words)
        assert done.returncode == 0, f"helm {' '.join(words)} → {done.returncode}: {done.stdout}{done.stderr}"
        return done.stdout

    def refused(self, *words: str) -> str:
        """Run helm, which must fail; what it said."""
        done = self.ask(*words)
        assert done.returncode != 0, f"helm {' '.join(words)} should have failed: {done.stdout}"
        return done.stdout + done.stderr

    def json(self, *words: str) -> Any:
        return json.loads(self(*words, "-o", "json"))

    def history(self, release: str = "shop") -> list[tuple[int, str, str]]:
        return [(one["revision"], one["status"], one["description"]) for one in self.json("history", release)]


@pytest.fixture(scope="module")
def cluster(simulated_cluster: Cluster) -> Iterator[Cluster]:
    """The cluster; the chart's kind is gone at the end, which helm leaves to its users."""
    yield simulated_cluster
    simulated_cluster.kubectl("delete", "crd", f"shelves.{charts.GROUP}", "--ignore-not-found", "--timeout=120s")


@pytest.fixture(params=["helm3", "helm4"])
def helm(request: pytest.FixtureRequest, cluster: Cluster, simulated_space: Space, tmp_path: Path) -> Helm:
    assert cluster is simulated_space.cluster
    return Helm(built(request.param), simulated_space, tmp_path)


def made_at(space: Space, kind: str, name: str) -> str:
    return str(space.get(kind, name)["metadata"]["creationTimestamp"])


def test_a_release_lives_from_install_to_uninstall(helm: Helm, tmp_path: Path) -> None:
    space, chart = helm.space, charts.write(tmp_path)
    # when it is installed
    told = helm.json("install", "shop", str(chart), "--wait", "--timeout", "90s", "--set", "greeting=ahoy")
    # then what the chart says is there and ready, the hooks have run and the kind is known
    assert (told["info"]["status"], told["info"]["notes"]) == ("deployed", "shop greets with ahoy")
    deployment = space.get("deployment", "shop")
    assert deployment["status"]["readyReplicas"] == 2
    assert deployment["metadata"]["labels"] == {"helm.sh/chart": "shop-0.1.0", "app.kubernetes.io/managed-by": "Helm", "app.kubernetes.io/instance": "shop"}
    assert deployment["metadata"]["annotations"]["meta.helm.sh/release-name"] == "shop"
    assert space.get(f"shelf.{charts.GROUP}", "shop")["spec"] == {"books": 20}
    words = space.get("configmap", "shop-words")["data"]
    assert (words["greeting"], words["shelves"], words["version"].startswith("v1.36.")) == ("ahoy", "true", True)
    assert set(space.kubectl("get", "jobs", "-o", "name").stdout.split()) == {"job.batch/shop-first", "job.batch/shop-after"}
    assert made_at(space, "job", "shop-first") <= made_at(space, "deployment", "shop") <= made_at(space, "job", "shop-after")
    # and helm knows of it
    assert [(one["name"], one["revision"], one["status"], one["chart"]) for one in helm.json("list")] == [("shop", "1", "deployed", "shop-0.1.0")]
    assert helm.json("get", "values", "shop") == {"greeting": "ahoy"}
    assert "kind: Shelf" in helm("get", "manifest", "shop")
    assert helm("get", "hooks", "shop").count("kind: Job") == 5
    assert "shop greets with ahoy" in helm("get", "notes", "shop")
    assert "STATUS: deployed" in helm("status", "shop")
    secret = space.get("secret", "sh.helm.release.v1.shop.v1")
    assert (secret["type"], secret["metadata"]["labels"]["status"]) == ("helm.sh/release.v1", "deployed")
    # when it is upgraded, what was drawn stays, by lookup
    helm("upgrade", "shop", str(charts.write(tmp_path, "0.2.0")), "--reuse-values", "--set", "replicas=3", "--wait", "--timeout", "90s")
    assert space.get("deployment", "shop")["status"]["readyReplicas"] == 3
    assert space.get("deployment", "shop")["spec"]["template"]["spec"]["containers"][0]["image"] == "web:0.2.0"
    assert space.get("configmap", "shop-words")["data"] == words
    assert {"job.batch/shop-before", "job.batch/shop-after"} <= set(space.kubectl("get", "jobs", "-o", "name").stdout.split())
    # when its tests run
    tested = helm("test", "shop", "--logs", "--timeout", "90s")
    assert "Phase:          Succeeded" in tested
    assert "shelves are straight" in tested
    # when it is taken back
    helm("rollback", "shop", "1", "--wait", "--timeout", "90s")
    until_true(lambda: space.get("deployment", "shop")["status"]["replicas"] == 2, "two replicas are there again")
    assert [one[:2] for one in helm.history()] == [(1, "superseded"), (2, "superseded"), (3, "deployed")]
    assert helm.history()[2][2] == "Rollback to 1"
    # when it is uninstalled only what is to stay stays
    helm("uninstall", "shop", "--wait", "--timeout", "90s")
    left = space.kubectl("get", f"deployments,services,secrets,configmaps,jobs,shelves.{charts.GROUP}", "-o", "name").stdout.split()
    assert set(left) - {"configmap/kube-root-ca.crt"} == {"configmap/shop-kept", "job.batch/shop-first", "job.batch/shop-before", "job.batch/shop-after", "job.batch/shop-last"}
    assert space.cluster.get("crd", f"shelves.{charts.GROUP}")
    assert helm.json("list", *([] if helm.fourth else ["--all"])) == []


def test_an_upgrade_that_fails_is_taken_back(helm: Helm, tmp_path: Path) -> None:
    space, chart = helm.space, str(charts.write(tmp_path))
    atomic = "--rollback-on-failure" if helm.fourth else "--atomic"
    helm("install", "shop", chart, "--wait", "--timeout", "90s")
    # when the new pods never become ready
    said = helm.refused("upgrade", "shop", chart, "--set-json", 'probe=["false"]', "--set", "greeting=bad", atomic, "--timeout", "8s", "--no-hooks")
    # then all is as it was
    assert "UPGRADE FAILED: release shop failed, and has been rolled back" in said
    assert space.get("configmap", "shop-words")["data"]["greeting"] == "hello"
    assert space.get("deployment", "shop")["spec"]["template"]["spec"]["containers"][0]["readinessProbe"]["exec"]["command"] == ["true"]
    assert [one[:2] for one in helm.history()] == [(1, "superseded"), (2, "failed"), (3, "deployed")]
    # when a hook fails nothing else is touched
    said = helm.refused("upgrade", "shop", chart, "--set-json", 'preUpgrade=["false"]', "--set", "greeting=bad", "--timeout", "60s")
    assert "pre-upgrade hooks failed" in said
    assert space.get("configmap", "shop-words")["data"]["greeting"] == "hello"
    assert [one[1] for one in helm.history()] == ["superseded", "failed", "deployed", "failed"]
    # when a test fails
    helm("upgrade", "shop", chart, "--set-json", 'checks=["sh","-c","echo a shelf hangs; exit 1"]', "--timeout", "60s")
    said = helm.refused("test", "shop", "--logs", "--timeout", "60s")
    assert "Phase:          Failed" in said
    assert "a shelf hangs" in said
    # when a first install fails nothing is left
    said = helm.refused("install", "other", chart, "--set-json", 'probe=["false"]', atomic, "--timeout", "8s", "--no-hooks")
    assert "INSTALLATION FAILED: release other failed, and has been uninstalled" in said
    assert space.get("deployment", "other") is None


def test_what_is_there_already_is_not_taken_unless_told(helm: Helm, tmp_path: Path) -> None:
    space, chart = helm.space, str(charts.write(tmp_path))
    space.kubectl("create", "configmap", "shop-words", "--from-literal=drawn=before")
    said = helm.refused("install", "shop", chart, "--no-hooks")
    assert 'ConfigMap "shop-words"' in said
    assert "exists and cannot be imported into the current release: invalid ownership metadata" in said
    helm("upgrade", "--install", "shop", chart, "--no-hooks", "--take-ownership")
    found = space.get("configmap", "shop-words")
    assert (found["data"]["drawn"], found["metadata"]["annotations"]["meta.helm.sh/release-name"]) == ("before", "shop")
    # a field that another wrote is in the way of server-side apply, and only of that
    space.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", input=json.dumps(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "shop-words"}, "data": {"greeting": "mine"}}))
    if helm.fourth:
        said = helm.refused("upgrade", "shop", chart, "--set", "greeting=ours", "--no-hooks", "--server-side=true")
        assert 'conflict with "kubectl"' in said
        helm("upgrade", "shop", chart, "--set", "greeting=ours", "--no-hooks", "--server-side=true", "--force-conflicts")
        managers = json.loads(space.kubectl("get", "deployment", "shop", "-o", "json", "--show-managed-fields").stdout)["metadata"]["managedFields"]
        assert ("helm", "Apply") in {(one["manager"], one["operation"]) for one in managers}
    else:
        helm("upgrade", "shop", chart, "--set", "greeting=ours", "--no-hooks")
    assert space.get("configmap", "shop-words")["data"]["greeting"] == "ours"
    helm("uninstall", "shop", "--no-hooks", "--cascade", "foreground")
    assert space.get("deployment", "shop") is None


def test_charts_are_checked_packed_nested_and_tried(helm: Helm, tmp_path: Path) -> None:
    space, chart = helm.space, charts.write(tmp_path)
    assert "0 chart(s) failed" in helm("lint", str(chart))
    said = helm.refused("install", "shop", str(chart), "--set", "replicas=10")
    assert "replicas" in said
    assert "9" in said
    # tried on the server, with its answers to lookup, and nothing is made
    tried = helm("install", "shop", str(chart), "--dry-run=server", "--no-hooks")
    assert "kind: Shelf" in tried
    assert space.get("configmap", "shop-words") is None
    assert 'version: "v1.36.' in tried
    # packed, nested into another chart, and installed into a namespace that helm makes
    helm("package", str(chart), "--destination", str(tmp_path))
    assert "description: a shop" in helm("show", "chart", str(tmp_path / "shop-0.1.0.tgz"))
    parent = charts.write(tmp_path, "0.3.0", dependency=str(chart))
    for name in ("words.yaml", "deployment.yaml", "shelf.yaml"):  # the branch has them
        (parent / "templates" / name).unlink()
    helm("dependency", "build", str(parent))
    more = f"{space.name}-more"
    try:
        helm("install", "shop", str(parent), "--namespace", more, "--create-namespace", "--no-hooks", "--wait", "--timeout", "90s", "--set", "branch.replicas=1")
        assert space.cluster.get("deployment", "shop", "-n", more)["status"]["readyReplicas"] == 1
        assert {(one["name"], one["namespace"]) for one in helm.json("list", "-A")} >= {("shop", more)}
        assert "restartPolicy: Never" in helm("get", "hooks", "shop", "--namespace", more)
        helm("uninstall", "shop", "--namespace", more, "--no-hooks", "--keep-history")
        assert helm.json("list", "--uninstalled", "--namespace", more)[0]["status"] == "uninstalled"
    finally:
        space.cluster.kubectl("delete", "namespace", more, "--ignore-not-found", "--wait=false")
