"""An operator on controller-runtime, in Go: elected, cached, typed over protobuf, with finalizers, events and webhooks.

Its source is `go/operator`. A Site there is a page and a number of replicas: a ConfigMap and a Deployment.
"""

from __future__ import annotations

import base64
import json
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from e2e.programs import Program, built, running
from e2e.real import Cluster, Space
from sampan.lib import pki
from sampan.testing.ports import free_port
from sampan.testing.waiting import PATIENCE_SECONDS, until_true

pytestmark = pytest.mark.e2e

GROUP = "sites.example.com"
PROTOBUF = "application/vnd.kubernetes.protobuf"
CONDITION = {"type": "object", "required": ["type", "status"], "x-kubernetes-preserve-unknown-fields": True,
             "properties": {"type": {"type": "string"}, "status": {"type": "string"}}}
DEFINITION = {
    "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": f"sites.{GROUP}"},
    "spec": {"group": GROUP, "scope": "Namespaced", "names": {"plural": "sites", "singular": "site", "kind": "Site"}, "versions": [{
        "name": "v1", "served": True, "storage": True, "subresources": {"status": {}},
        "schema": {"openAPIV3Schema": {"type": "object", "properties": {
            "spec": {"type": "object", "properties": {"page": {"type": "string"}, "replicas": {"type": "integer", "format": "int32"}}},
            "status": {"type": "object", "properties": {
                "observedGeneration": {"type": "integer", "format": "int64"}, "readyReplicas": {"type": "integer", "format": "int32"},
                "conditions": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"], "items": CONDITION}}}}}}}]}}


@pytest.fixture(scope="module")
def cluster(simulated_cluster: Cluster) -> Iterator[Cluster]:
    """A cluster with the kind Site."""
    built("operator")
    simulated_cluster.kubectl("create", "-f", "-", input=json.dumps(DEFINITION))
    simulated_cluster.kubectl("wait", "--for=condition=Established", f"crd/sites.{GROUP}", "--timeout=120s")
    yield simulated_cluster
    simulated_cluster.kubectl("delete", "crd", f"sites.{GROUP}", "--timeout=120s")


@pytest.fixture
def space(cluster: Cluster, simulated_space: Space) -> Iterator[Space]:
    assert cluster is simulated_space.cluster
    yield simulated_space
    # a site whose operator is gone would keep its namespace
    for name in simulated_space.kubectl("get", "sites", "-o", "name").stdout.split():
        simulated_space.kubectl("patch", name, "--type=merge", "-p", '{"metadata":{"finalizers":null}}')


@dataclass(frozen=True)
class Operator:
    """One process of the operator, and its addresses."""

    program: Program
    metrics: int
    probes: int

    def ask(self, port: int, path: str) -> str:
        assert self.program.running(), f"the operator has ended:\n{self.program.said[-3000:]}"
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=PATIENCE_SECONDS) as answer:
                return str(answer.read().decode())
        except OSError:
            return ""

    def wire(self) -> dict[str, int]:
        """How often by method, resource, and the media types of question and answer."""
        found: dict[str, int] = json.loads(self.ask(self.metrics, "/wire"))
        return found

    def leads(self) -> bool:
        return 'leader_election_master_status{name="site-operator"} 1' in self.ask(self.metrics, "/metrics")


Start = Callable[..., Operator]


@pytest.fixture
def start(space: Space, tmp_path: Path) -> Iterator[Start]:
    """Start an operator for the test's namespace; all are gone at the end."""
    with ExitStack() as stack:
        def started(name: str, *words: str) -> Operator:
            metrics, probes = free_port(), free_port()
            arguments = [built("operator"), "-namespace", space.name, "-metrics", f"127.0.0.1:{metrics}", "-probes", f"127.0.0.1:{probes}", *words]
            operator = Operator(stack.enter_context(running(arguments, space.cluster.environment, tmp_path / f"{name}.log")), metrics, probes)
            until_true(lambda: operator.ask(probes, "/readyz") == "ok", "the operator is ready")
            return operator

        yield started


def site(name: str, **spec: Any) -> dict[str, Any]:
    return {"apiVersion": f"{GROUP}/v1", "kind": "Site", "metadata": {"name": name}, "spec": spec}


def ready(space: Space, name: str, replicas: int) -> dict[str, Any]:
    """The Site once its status says that so many replicas of what is wanted now are ready."""
    def answer() -> dict[str, Any] | None:
        found: dict[str, Any] = space.get("site", name)
        status = found.get("status", {})
        states = {one["type"]: one["status"] for one in status.get("conditions", ())}
        done = status.get("readyReplicas") == replicas and status.get("observedGeneration") == found["metadata"]["generation"]
        return found if done and states.get("Ready") == "True" else None

    found = until_true(answer, f"{replicas} replicas of {name} are ready")
    assert found is not None
    return found


def test_the_operator_makes_changes_and_takes_away(space: Space, start: Start) -> None:
    operator = start("only")
    # when a site is made
    space.apply(site("home", page="welcome", replicas=2))
    # then the operator has made what it owns, over protobuf
    found = ready(space, "home", 2)
    assert found["metadata"]["finalizers"] == [f"{GROUP}/farewell"]
    deployment, page = space.get("deployment", "home"), space.get("configmap", "home")
    assert page["data"] == {"index.html": "welcome"}
    for one in (deployment, page):
        assert [(owner["kind"], owner["name"], owner["uid"], owner["controller"]) for owner in one["metadata"]["ownerReferences"]] == [
            ("Site", "home", found["metadata"]["uid"], True)]
    volume = deployment["spec"]["template"]["spec"]["volumes"][0]
    assert volume == {"name": "page", "configMap": {"name": "home", "defaultMode": 0o644}}
    said = until_true(lambda: space.kubectl("events", "--for", f"site.v1.{GROUP}/home").stdout, "the operator's event")
    assert "deployment created" in said
    # when what is wanted changes, and when somebody meddles
    space.kubectl("patch", "site", "home", "--type=merge", "-p", '{"spec":{"page":"hello again","replicas":3}}')
    ready(space, "home", 3)
    assert space.get("deployment", "home")["spec"]["template"]["metadata"]["annotations"] == {"page": "hello again"}
    space.kubectl("delete", "configmap", "home")
    until_true(lambda: (space.get("configmap", "home") or {}).get("data") == {"index.html": "hello again"}, "the page comes back")
    # when it is deleted the operator has the last word, and what it owned goes
    space.kubectl("delete", "site", "home", "--timeout=120s")
    assert space.get("configmap", "farewell-home")["data"] == {"page": "hello again", "twins": "0"}
    until_true(lambda: space.get("deployment", "home") is None and space.get("configmap", "home") is None, "what it owned is gone")
    # and on the wire built-in kinds were protobuf both ways, but for server-side apply; the custom kind was JSON
    wire = operator.wire()
    for words in ("WATCH deployments - {0}", "POST deployments {0} {0}", "PUT deployments {0} {0}", "POST configmaps {0} {0}"):
        wanted = words.format(PROTOBUF)
        assert wire.get(wanted, 0) > 0, (wanted, wire)
    assert wire.get("WATCH sites - application/json", 0) > 0, wire
    in_json = [words for words in wire if words.split()[1] in ("deployments", "configmaps", "leases") and "application/json" in words]
    assert in_json == ["PATCH configmaps application/apply-patch+yaml application/json"], wire  # as this client asks for it
    assert operator.program.stop() == 0, operator.program.said[-3000:]


def test_another_operator_takes_over_from_one_that_ends_or_dies(space: Space, start: Start) -> None:
    first = start("first")
    until_true(first.leads, "the first one leads")
    second = start("second")
    space.apply(site("b", page="one", replicas=1))
    ready(space, "b", 1)
    assert not second.leads()
    holder = space.get("lease", "site-operator")["spec"]["holderIdentity"]
    # when the leader ends it gives the lease back
    assert first.program.stop() == 0
    until_true(second.leads, "the second one leads")
    lease = space.get("lease", "site-operator")["spec"]
    assert lease["holderIdentity"] != holder
    space.kubectl("patch", "site", "b", "--type=merge", "-p", '{"spec":{"page":"two"}}')
    until_true(lambda: space.get("configmap", "b")["data"] == {"index.html": "two"}, "the second one works")
    # when the leader is killed its lease runs out
    third = start("third")
    assert second.leads()
    second.program.process.kill()
    until_true(third.leads, "the third one leads")
    space.kubectl("delete", "site", "b", "--timeout=120s")
    assert space.get("configmap", "farewell-b")["data"] == {"page": "two", "twins": "0"}


def test_webhooks_of_the_operator_fill_in_and_refuse(space: Space, start: Start, tmp_path: Path) -> None:
    now = datetime.now(UTC)  # noqa: TID251 - certificates are judged by real time
    authority = pki.new_ca("webhooks", now=now)
    pair = pki.issue(authority, pki.Names("webhook", addresses=("127.0.0.1",)), ("digital signature", "server auth"), now=now)
    (tmp_path / "tls.crt").write_bytes(pair.certificate)
    (tmp_path / "tls.key").write_bytes(pair.key)
    port = free_port()
    start("webhooks", "-webhook-port", str(port), "-certificates", str(tmp_path))
    configurations = [configuration(space, kind, verb, port, authority.certificate) for kind, verb in (("Mutating", "mutate"), ("Validating", "validate"))]
    try:
        for one in configurations:
            space.kubectl("create", "-f", "-", input=json.dumps(one))
        until_true(lambda: "denied the request: a site needs a page" in refused(space), "the webhook refuses")
        # then what is left out is filled in, by the hook, before it is stored
        space.apply(site("home", page="welcome"))
        assert ready(space, "home", 1)["spec"] == {"page": "welcome", "replicas": 1}
        warned = space.kubectl("patch", "site", "home", "--type=merge", "-p", '{"spec":{"replicas":6}}')
        assert "Warning: that is a lot of replicas" in warned.stderr
        ready(space, "home", 6)
        emptied = space.kubectl("patch", "site", "home", "--type=merge", "-p", '{"spec":{"page":""}}', check=False)
        assert "denied the request: a site needs a page" in emptied.stderr
        space.kubectl("delete", "site", "home", "--timeout=120s")
    finally:
        for one in configurations:
            space.kubectl("delete", one["kind"], one["metadata"]["name"], "--ignore-not-found")


def refused(space: Space) -> str:
    done = space.kubectl("create", "--dry-run=server", "-f", "-", input=json.dumps(site("empty", replicas=1)), check=False)
    return str(done.stderr)


def configuration(space: Space, kind: str, verb: str, port: int, authority: bytes) -> dict[str, Any]:
    path = f"/{verb}-{GROUP.replace('.', '-')}-v1-site"
    return {"apiVersion": "admissionregistration.k8s.io/v1", "kind": f"{kind}WebhookConfiguration", "metadata": {"name": f"{space.name}-{verb}"},
            "webhooks": [{"name": f"{verb}.{GROUP}", "sideEffects": "None", "admissionReviewVersions": ["v1"], "failurePolicy": "Fail", "timeoutSeconds": 10,
                          "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": space.name}},
                          "rules": [{"apiGroups": [GROUP], "apiVersions": ["v1"], "resources": ["sites"], "operations": ["CREATE", "UPDATE"]}],
                          "clientConfig": {"url": f"https://127.0.0.1:{port}{path}", "caBundle": base64.b64encode(authority).decode()}}]}
