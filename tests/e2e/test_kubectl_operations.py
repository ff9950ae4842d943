"""kubectl on a simulated cluster: certificates, bound tokens, roll-outs of every kind, disruption budgets, debugging, pruning, kustomize."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from e2e.real import Space
from sampan.lib import pki
from sampan.testing.waiting import PATIENCE_SECONDS, until_true

pytestmark = pytest.mark.e2e


def workload(kind: str, name: str, image: str = "web:1", **spec: Any) -> dict[str, Any]:
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name}, "spec": {
        "selector": {"matchLabels": {"app": name}},
        "template": {"metadata": {"labels": {"app": name}}, "spec": {"terminationGracePeriodSeconds": 0, "containers": [{"name": "c", "image": image}]}}, **spec}}


# ---- certificates and tokens ---------------------------------------------------------------------------------------


def request_of(space: Space, who: str, key: bytes) -> dict[str, Any]:
    request = base64.b64encode(pki.new_request(pki.Names(who, organizations=("sailors",)), key=key)).decode()
    return {"apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest", "metadata": {"name": f"{space.name}-{who}"},
            "spec": {"request": request, "signerName": "kubernetes.io/kube-apiserver-client", "usages": ["client auth"], "expirationSeconds": 3600}}


def test_an_approved_certificate_opens_and_a_denied_one_is_none(simulated_space: Space, tmp_path: Path) -> None:
    space, key, secret = simulated_space, tmp_path / "ada.key", pki.new_signing_key()
    key.write_bytes(secret)
    names = [f"{space.name}-ada", f"{space.name}-bob"]
    try:
        for who in ("ada", "bob"):
            space.kubectl("create", "-f", "-", input=json.dumps(request_of(space, who, secret)))
        rows = [re.split(r"\s{2,}", line.strip()) for line in space.kubectl("get", "csr", *names).stdout.splitlines()]
        assert rows[0] == ["NAME", "AGE", "SIGNERNAME", "REQUESTOR", "REQUESTEDDURATION", "CONDITION"]
        assert [row[2:] for row in rows[1:]] == [["kubernetes.io/kube-apiserver-client", "kubernetes-admin", "60m", "Pending"]] * 2
        # when
        assert f"{names[0]} approved" in space.kubectl("certificate", "approve", names[0]).stdout
        assert f"{names[1]} denied" in space.kubectl("certificate", "deny", names[1]).stdout
        # then the approved one is signed and is ada
        issued = until_true(lambda: space.get("csr", names[0])["status"].get("certificate"), "the certificate is signed")
        certificate = tmp_path / "ada.crt"
        certificate.write_bytes(base64.b64decode(issued))
        assert re.search(rf"{names[0]} .* Approved,Issued", space.kubectl("get", "csr").stdout)
        assert re.search(rf"{names[1]} .* Denied", space.kubectl("get", "csr").stdout)
        space.kubectl("create", "role", "look", "--verb=list", "--resource=pods")
        space.kubectl("create", "rolebinding", "look", "--role=look", "--group=sailors")
        as_ada = [f"--server={server_of(space)}", "--kubeconfig=/dev/null", "--insecure-skip-tls-verify", f"--client-certificate={certificate}", f"--client-key={key}"]
        told = space.cluster.kubectl(*as_ada, "auth", "whoami").stdout
        assert re.search(r"^Username +ada$", told, re.MULTILINE)
        assert re.search(r"^Groups +\[sailors system:authenticated\]$", told, re.MULTILINE)
        assert space.kubectl(*as_ada, "get", "pods").returncode == 0
        refused = space.kubectl(*as_ada, "get", "secrets", check=False)
        assert 'User "ada" cannot list resource "secrets"' in refused.stderr
        assert not space.get("csr", names[1])["status"].get("certificate")
    finally:
        space.kubectl("delete", "csr", *names, "--ignore-not-found")


def server_of(space: Space) -> str:
    return space.cluster.kubectl("config", "view", "--minify", "-o", "jsonpath={.clusters[0].cluster.server}").stdout


def claims(token: str) -> dict[str, Any]:
    body = token.split(".")[1]
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    return found


def test_a_token_bound_to_a_pod_dies_with_it(simulated_space: Space) -> None:
    space = simulated_space
    space.kubectl("create", "serviceaccount", "bob")
    space.kubectl("run", "holder", "--image=nginx", "--overrides", '{"spec":{"serviceAccountName":"bob","terminationGracePeriodSeconds":0}}')
    space.kubectl("wait", "--for=condition=Ready", "pod/holder", "--timeout=120s")
    token = space.kubectl("create", "token", "bob", "--duration=30m", "--bound-object-kind=Pod", "--bound-object-name=holder").stdout.strip()
    found = claims(token)
    assert found["exp"] - found["iat"] == 1800
    assert found["kubernetes.io"]["pod"]["name"] == "holder"
    audience = claims(space.kubectl("create", "token", "bob", "--audience=elsewhere").stdout.strip())
    assert audience["aud"] == ["elsewhere"]
    as_bob = [f"--server={server_of(space)}", "--kubeconfig=/dev/null", "--insecure-skip-tls-verify", f"--token={token}", "auth", "whoami"]
    told = space.cluster.kubectl(*as_bob).stdout
    assert f"system:serviceaccount:{space.name}:bob" in told
    assert re.search(r"Extra: authentication\.kubernetes\.io/pod-name +\[holder\]", told)
    space.kubectl("delete", "pod", "holder")
    until_true(lambda: "Unauthorized" in space.cluster.kubectl(*as_bob, check=False).stderr, "the token is no longer taken")


def test_reconcile_adds_and_takes_away_permissions(simulated_space: Space) -> None:
    space = simulated_space
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "r", "namespace": space.name},
            "rules": [{"apiGroups": [""], "resources": ["pods", "secrets"], "verbs": ["get"]}]}
    binding = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "rb", "namespace": space.name},
               "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "r"}, "subjects": [{"kind": "User", "name": "ann", "apiGroup": "rbac.authorization.k8s.io"}]}
    made = space.kubectl("auth", "reconcile", "-f", "-", input=json.dumps({"apiVersion": "v1", "kind": "List", "items": [role, binding]}))
    assert "role.rbac.authorization.k8s.io/r reconciled" in made.stdout
    role["rules"] = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}]
    space.kubectl("auth", "reconcile", "-f", "-", input=json.dumps(role))
    can = {what: space.kubectl("auth", "can-i", *what.split(), "--as=ann", check=False).stdout.strip() for what in ("get secrets", "list pods")}
    assert can == {"get secrets": "yes", "list pods": "yes"}
    space.kubectl("auth", "reconcile", "--remove-extra-permissions", "-f", "-", input=json.dumps(role))
    assert space.kubectl("auth", "can-i", "get", "secrets", "--as=ann", check=False).stdout == "no\n"
    # nobody gives away what they do not have
    space.kubectl("create", "clusterrolebinding", f"{space.name}-ed", "--clusterrole=edit", "--user=ed")
    try:
        refused = space.kubectl("create", "role", "more", "--verb=get", "--resource=secrets", "--as=ed", check=False)
        assert 'User "ed" cannot create resource "roles"' in refused.stderr
    finally:
        space.kubectl("delete", "clusterrolebinding", f"{space.name}-ed")


# ---- roll-outs -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["StatefulSet", "DaemonSet"])
def test_sets_roll_out_and_back(simulated_space: Space, kind: str) -> None:
    space, name = simulated_space, f"{kind.lower()}/db"
    more: dict[str, Any] = {"replicas": 2, "serviceName": "db"} if kind == "StatefulSet" else {}
    space.apply(workload(kind, "db", **more))
    space.kubectl("rollout", "status", name, "--timeout=120s")
    space.kubectl("set", "image", name, "c=web:2")
    space.kubectl("rollout", "status", name, "--timeout=120s")
    assert images(space) == {"web:2"}
    history = space.kubectl("rollout", "history", name).stdout
    assert re.findall(r"^(\d+) ", history, re.MULTILINE) == ["1", "2"]
    assert re.search(r"Image:\s+web:1", space.kubectl("rollout", "history", name, "--revision=1").stdout)
    space.kubectl("rollout", "undo", name)
    space.kubectl("rollout", "status", name, "--timeout=120s")
    assert images(space) == {"web:1"}
    before = {one["metadata"]["uid"] for one in space.get("pods")["items"]}
    space.kubectl("rollout", "restart", name)
    space.kubectl("rollout", "status", name, "--timeout=120s")
    until_true(lambda: before.isdisjoint(one["metadata"]["uid"] for one in space.get("pods")["items"]), "every pod is a new one")


def images(space: Space) -> set[str]:
    return {one["spec"]["containers"][0]["image"] for one in space.get("pods")["items"] if not one["metadata"].get("deletionTimestamp")}


def test_a_deployment_that_does_not_come_up_says_so(simulated_space: Space) -> None:
    space = simulated_space
    manifest = workload("Deployment", "web", progressDeadlineSeconds=2)
    manifest["spec"]["template"]["spec"]["containers"][0]["readinessProbe"] = {"exec": {"command": ["false"]}}
    space.apply(manifest)
    failed = space.kubectl("rollout", "status", "deployment/web", "--timeout=60s", check=False)
    assert failed.returncode == 1
    assert 'error: deployment "web" exceeded its progress deadline' in failed.stderr


def test_drain_respects_a_disruption_budget(simulated_space: Space) -> None:
    space, node = simulated_space, simulated_space.cluster.config.node_name(1)
    manifest = workload("Deployment", "web", replicas=2)
    manifest["spec"]["template"]["spec"]["nodeSelector"] = {"kubernetes.io/hostname": node}
    space.apply(manifest)
    space.kubectl("rollout", "status", "deployment/web", "--timeout=120s")
    space.kubectl("create", "poddisruptionbudget", "web", "--selector=app=web", "--min-available=2")
    until_true(lambda: space.get("pdb", "web")["status"].get("currentHealthy") == 2, "the budget is counted")
    try:
        # when none may go
        held = space.kubectl("drain", node, "--ignore-daemonsets", "--force", "--pod-selector=app=web", "--timeout=2s", check=False)
        assert held.returncode == 1
        assert "Cannot evict pod as it would violate the pod's disruption budget." in held.stderr
        assert len(space.kubectl("get", "pods", "-l", "app=web", "-o", "name").stdout.split()) == 2
        # when they may
        space.kubectl("patch", "pdb", "web", "-p", '{"spec":{"minAvailable":0}}')
        drained = space.kubectl("drain", node, "--ignore-daemonsets", "--force", "--pod-selector=app=web", "--timeout=120s")
        assert drained.stdout.count("evicted") == 2
        assert f"node/{node} drained" in drained.stdout
    finally:
        space.kubectl("uncordon", node)
    space.kubectl("rollout", "status", "deployment/web", "--timeout=120s")


# ---- debug ---------------------------------------------------------------------------------------------------------


def test_debug_adds_a_container_copies_a_pod_and_looks_at_a_node(simulated_space: Space) -> None:
    space = simulated_space
    space.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"}, "spec": {"containers": [{"name": "main", "image": "web:1"}]}})
    space.kubectl("wait", "--for=condition=Ready", "pod/web", "--timeout=120s")
    # into the running pod
    space.kubectl("debug", "web", "--image=busybox", "--container=look", "--target=main", "--profile=general", "--", "sh", "-c", "echo here; sleep 3600")
    until_true(lambda: any("running" in one.get("state", {}) for one in space.get("pod", "web")["status"].get("ephemeralContainerStatuses", ())), "the container runs")
    added = space.get("pod", "web")["spec"]["ephemeralContainers"][0]
    assert (added["name"], added["image"], added["targetContainerName"]) == ("look", "busybox", "main")
    until_true(lambda: space.kubectl("logs", "web", "-c", "look").stdout == "here\n", "it says something")
    assert space.kubectl("exec", "web", "-c", "look", "--", "echo", "ahoy").stdout == "ahoy\n"
    # into a copy
    space.kubectl("debug", "web", "--copy-to=web-copy", "--container=main", "--image=busybox", "--share-processes", "--", "sleep", "3600")
    space.kubectl("wait", "--for=condition=Ready", "pod/web-copy", "--timeout=120s")
    copy = space.get("pod", "web-copy")["spec"]
    assert (copy["shareProcessNamespace"], [one["image"] for one in copy["containers"]]) == (True, ["busybox"])
    # onto a node
    node = space.cluster.node
    said = space.kubectl("debug", f"node/{node}", "--image=busybox", "--profile=sysadmin", "--", "sleep", "3600")
    name = (re.findall(r"node-debugger-\S+?-\w{5}\b", said.stdout + said.stderr) or [""])[0]
    until_true(lambda: (space.get("pod", name) or {}).get("status", {}).get("phase") == "Running", "the debugger runs")
    debugger = space.get("pod", name)["spec"]
    assert (debugger["nodeName"], debugger["hostPID"], debugger["volumes"][0]["hostPath"]["path"]) == (node, True, "/")


# ---- files ---------------------------------------------------------------------------------------------------------


def test_kustomize_builds_applies_and_deletes(simulated_space: Space, tmp_path: Path) -> None:
    space = simulated_space
    (tmp_path / "web.yaml").write_text(json.dumps(workload("Deployment", "web", replicas=1)))
    (tmp_path / "kustomization.yaml").write_text(json.dumps({
        "resources": ["web.yaml"], "namePrefix": "my-", "images": [{"name": "web", "newTag": "7"}], "replicas": [{"name": "web", "count": 2}],
        "configMapGenerator": [{"name": "words", "literals": ["a=1"]}], "labels": [{"pairs": {"team": "x"}}]}))
    space.kubectl("apply", "-k", str(tmp_path))
    space.kubectl("rollout", "status", "deployment/my-web", "--timeout=120s")
    found = space.get("deployment", "my-web")
    assert (found["spec"]["replicas"], found["spec"]["template"]["spec"]["containers"][0]["image"], found["metadata"]["labels"]) == (2, "web:7", {"team": "x"})
    assert space.kubectl("diff", "-k", str(tmp_path)).stdout == ""
    assert space.kubectl("get", "-k", str(tmp_path), "-o", "name").stdout.split()[0].startswith("configmap/my-words-")
    space.kubectl("delete", "-k", str(tmp_path))
    assert space.get("deployments") is None


def test_apply_prunes_what_left_the_set(simulated_space: Space, tmp_path: Path) -> None:
    space = simulated_space

    def apply(*names: str) -> str:
        items = [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}} for name in names]
        (tmp_path / "all.json").write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
        done = subprocess.run(["kubectl", "-n", space.name, "apply", "-f", str(tmp_path / "all.json"), "--prune", "--applyset=set"], capture_output=True,
                              text=True, check=False, timeout=PATIENCE_SECONDS, env={**space.cluster.environment, "KUBECTL_APPLYSET": "true"}, stdin=subprocess.DEVNULL)
        assert done.returncode == 0, done.stderr
        return done.stdout

    apply("a", "b")
    said = apply("b", "c")
    assert "configmap/a pruned" in said
    assert set(space.kubectl("get", "configmaps", "-l", "applyset.kubernetes.io/part-of", "-o", "name").stdout.split()) == {"configmap/b", "configmap/c"}
    secret = space.get("secret", "set")["metadata"]
    assert secret["annotations"]["applyset.kubernetes.io/contains-group-kinds"] == "ConfigMap"


def test_proxy_passes_requests_on(simulated_space: Space) -> None:
    space = simulated_space
    proxy = space.cluster.start_kubectl("proxy", "--port=0")
    try:
        assert proxy.stdout is not None
        address = proxy.stdout.readline().rsplit(" ", 1)[1].strip()
        environment = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
        got = subprocess.run(["kubectl", "--server", f"http://{address}", "--kubeconfig=/dev/null", "get", "namespace", space.name, "-o", "name"],
                             capture_output=True, text=True, check=False, timeout=PATIENCE_SECONDS, env={**environment, "HOME": str(space.cluster.home), "PATH": space.cluster.environment["PATH"]})
        assert got.stdout == f"namespace/{space.name}\n", got.stderr
    finally:
        proxy.terminate()
        proxy.communicate(timeout=PATIENCE_SECONDS)
