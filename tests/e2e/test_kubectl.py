"""kubectl on a simulated cluster: everything that needs no real container."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from e2e.real import Cluster, Space
from sampan.testing.waiting import PATIENCE_SECONDS, until_true

pytestmark = pytest.mark.e2e


def deployment(name: str, image: str = "web:1", replicas: int = 2, **metadata: Any) -> dict[str, Any]:
    return {
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, **metadata},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": {
            "metadata": {"labels": {"app": name}},
            "spec": {"containers": [{"name": "c", "image": image, "ports": [{"containerPort": 80}]}]}}}}


def rolled_out(space: Space, name: str) -> None:
    space.kubectl("rollout", "status", f"deployment/{name}", "--timeout=120s")


def table(text: str) -> list[list[str]]:
    return [re.split(r"\s{2,}", line.strip()) for line in text.splitlines() if line.strip()]


# ---- create, run, get, describe ------------------------------------------------------------------------------------


def test_a_created_deployment_rolls_out_and_shows_in_every_form(simulated_space: Space) -> None:
    space = simulated_space
    # when
    space.kubectl("create", "deployment", "web", "--image=nginx:1", "--replicas=3", "--port=80")
    rolled_out(space, "web")
    # then
    wide = table(space.kubectl("get", "deployments", "-o", "wide").stdout)
    assert wide[0] == ["NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE", "CONTAINERS", "IMAGES", "SELECTOR"]
    assert wide[1][:4] == ["web", "3/3", "3", "3"]
    assert wide[1][5:] == ["nginx", "nginx:1", "app=web"]
    assert space.kubectl("get", "pods", "-o", "jsonpath={.items[*].status.phase}").stdout == "Running Running Running"
    names = space.kubectl("get", "pods", "-l", "app=web", "--field-selector", "status.phase=Running", "-o", "name").stdout.split()
    assert len(names) == 3
    yaml = space.kubectl("get", "deployment", "web", "-o", "yaml").stdout
    assert yaml.startswith("apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  annotations:\n    deployment.kubernetes.io/revision: \"1\"\n")
    columns = space.kubectl("get", "pods", "-o", "custom-columns=P:.status.phase", "--no-headers").stdout.split()
    assert columns == ["Running"] * 3
    chosen = space.kubectl("get", "pods", "-o", "go-template={{range .items}}{{.spec.nodeName}} {{end}}").stdout.split()
    assert len(chosen) == 3


def test_describe_tells_of_conditions_containers_and_events(simulated_space: Space) -> None:
    space = simulated_space
    space.apply(deployment("web", replicas=1))
    rolled_out(space, "web")
    told = space.kubectl("describe", "deployment", "web").stdout
    assert re.search(r"Replicas: +1 desired \| 1 updated \| 1 total \| 1 available \| 0 unavailable", told)
    assert "Scaled up replica set web-" in told
    pod = space.kubectl("describe", "pod", "-l", "app=web").stdout
    assert re.search(r"Controlled By: +ReplicaSet/web-", pod)
    assert re.search(r"Ready +True", pod)
    assert re.search(r"Normal +Scheduled .*default-scheduler +Successfully assigned", pod)
    assert re.search(r"Normal +Started .*kubelet +Container started: c", pod)
    node = space.kubectl("describe", "node", space.cluster.node).stdout
    assert re.search(r"Ready +True .*KubeletReady", node)
    assert "Non-terminated Pods:" in node


def test_every_create_command_makes_its_object(simulated_space: Space) -> None:
    space = simulated_space
    prefix = space.name
    for words in (
        "configmap c --from-literal=k=v", "secret generic s --from-literal=p=q", "secret docker-registry d --docker-username=u --docker-password=p",
        "serviceaccount bob", "quota q --hard=pods=50", "role r --verb=get --resource=pods", f"rolebinding rb --role=r --serviceaccount={prefix}:bob",
        "job j --image=busybox -- true", "cronjob cj --image=busybox --schedule=@yearly -- true", "job again --from=cronjob/cj",
        "ingress i --rule=host/=web:80", "poddisruptionbudget b --selector=app=x --min-available=1", "service clusterip one --tcp=80",
        "service nodeport two --tcp=80", "service externalname three --external-name=example.com", "service loadbalancer four --tcp=80",
        f"clusterrole {prefix} --verb=list --resource=nodes", f"clusterrolebinding {prefix} --clusterrole={prefix} --serviceaccount={prefix}:bob",
        f"priorityclass {prefix} --value=5", f"namespace {prefix}-more",
    ):
        assert space.kubectl("create", *words.split()).stdout.rstrip().endswith("created"), words
    assert space.kubectl("create", "token", "bob").stdout.count(".") == 2
    space.kubectl("wait", "--for=condition=Complete", "job/j", "job/again", "--timeout=120s")
    listed = space.kubectl("get", "all,cm,secret,sa,quota,role,rolebinding,ing,pdb", "-o", "name").stdout.split()
    assert {"job.batch/j", "cronjob.batch/cj", "secret/s", "resourcequota/q", "poddisruptionbudget.policy/b", "service/three"} <= set(listed)
    # what lives in no namespace goes again
    space.kubectl("delete", f"clusterrole/{prefix}", f"clusterrolebinding/{prefix}", f"priorityclass/{prefix}", f"namespace/{prefix}-more")


def test_run_wait_and_delete_a_pod(simulated_space: Space) -> None:
    space = simulated_space
    space.kubectl("run", "one", "--image=nginx", "--restart=Never", "--env=A=b", "--labels=x=y")
    space.kubectl("wait", "--for=condition=Ready", "pod/one", "--timeout=120s")
    space.kubectl("wait", "--for=jsonpath={.status.phase}=Running", "pod/one", "--timeout=120s")
    assert space.get("pod", "one")["spec"]["containers"][0]["env"] == [{"name": "A", "value": "b"}]
    assert 'pod "one" deleted' in space.kubectl("delete", "pod", "one").stdout
    space.kubectl("wait", "--for=delete", "pod/one", "--timeout=120s")
    gone = space.kubectl("get", "pod", "one", check=False)
    assert (gone.returncode, gone.stderr) == (1, 'Error from server (NotFound): pods "one" not found\n')


def test_a_watch_shows_what_is_there_and_changes_as_they_come(simulated_space: Space) -> None:
    space = simulated_space
    space.kubectl("create", "configmap", "before")
    watch = space.cluster.start_kubectl("-n", space.name, "get", "configmaps", "--watch", "-o", "name")
    try:
        assert watch.stdout is not None
        seen: list[str] = []
        for wanted in ("before", "after"):
            while f"configmap/{wanted}" not in seen:
                line = watch.stdout.readline()
                assert line, "the watch ended"
                seen.append(line.strip())
            if wanted == "before":
                space.kubectl("create", "configmap", "after")
    finally:
        watch.terminate()
        watch.communicate(timeout=PATIENCE_SECONDS)


# ---- change --------------------------------------------------------------------------------------------------------


def test_scale_set_image_history_undo_restart_pause(simulated_space: Space) -> None:
    space = simulated_space
    space.apply(deployment("web"))
    space.kubectl("scale", "deployment/web", "--replicas=3")
    rolled_out(space, "web")
    refused = space.kubectl("scale", "deployment/web", "--current-replicas=9", "--replicas=1", check=False)
    assert "Expected replicas to be 9, was 3" in refused.stderr
    # when a new image goes out
    space.kubectl("set", "image", "deployment/web", "c=web:2")
    rolled_out(space, "web")
    history = table(space.kubectl("rollout", "history", "deployment/web").stdout)
    assert [row[0] for row in history[2:]] == ["1", "2"]
    assert re.search(r"Image:\s+web:2", space.kubectl("rollout", "history", "deployment/web", "--revision=2").stdout)
    # and is taken back
    space.kubectl("rollout", "undo", "deployment/web")
    rolled_out(space, "web")
    assert image_of(space) == "web:1"
    history = table(space.kubectl("rollout", "history", "deployment/web").stdout)
    assert [row[0] for row in history[2:]] == ["2", "3"]
    # when it is restarted every pod is a new one
    before = set(space.kubectl("get", "pods", "-o", "name").stdout.split())
    space.kubectl("rollout", "restart", "deployment/web")
    rolled_out(space, "web")
    until_true(lambda: before.isdisjoint(space.kubectl("get", "pods", "-o", "name").stdout.split()), "the old pods are gone")
    # while it is paused nothing goes out
    space.kubectl("rollout", "pause", "deployment/web")
    space.kubectl("set", "image", "deployment/web", "c=web:3")
    until_true(lambda: (d := space.get("deployment", "web"))["status"]["observedGeneration"] == d["metadata"]["generation"], "the pause is seen")
    assert "web:3" not in space.kubectl("get", "replicasets", "-o", "wide").stdout
    space.kubectl("rollout", "resume", "deployment/web")
    rolled_out(space, "web")
    assert "web:3" in space.kubectl("get", "replicasets", "-o", "wide").stdout


def image_of(space: Space) -> str:
    return space.kubectl("get", "deployment", "web", "-o", "jsonpath={.spec.template.spec.containers[0].image}").stdout


def test_label_annotate_patch_replace_edit_and_set(simulated_space: Space) -> None:
    space = simulated_space
    space.kubectl("create", "configmap", "c", "--from-literal=a=one", "--from-literal=b=two")
    space.kubectl("label", "configmap", "c", "tier=x", "zone=y")
    refused = space.kubectl("label", "configmap", "c", "tier=z", check=False)
    assert "already has a value (x), and --overwrite is false" in refused.stderr
    space.kubectl("label", "configmap", "c", "tier=z", "--overwrite")
    space.kubectl("label", "configmap", "c", "zone-")
    space.kubectl("annotate", "configmap", "c", "note=hi")
    for kind, patch in (("strategic", '{"data":{"a":"1"}}'), ("merge", '{"data":{"b":null}}'), ("json", '[{"op":"add","path":"/data/c","value":"3"}]')):
        space.kubectl("patch", "configmap", "c", f"--type={kind}", "-p", patch)
    found = space.get("configmap", "c")
    assert (found["data"], found["metadata"]["labels"], found["metadata"]["annotations"]) == ({"a": "1", "c": "3"}, {"tier": "z"}, {"note": "hi"})
    # when it is replaced, and edited
    found["data"] = {"text": "before"}
    space.kubectl("replace", "-f", "-", input=json.dumps(found))
    stale = space.kubectl("replace", "-f", "-", input=json.dumps(found), check=False)
    assert "the object has been modified; please apply your changes to the latest version and try again" in stale.stderr
    edited = subprocess.run(["kubectl", "-n", space.name, "edit", "configmap", "c"], capture_output=True, text=True, check=False,
                            env={**space.cluster.environment, "KUBE_EDITOR": "sed -i s/before/after/"}, timeout=PATIENCE_SECONDS)
    assert edited.returncode == 0, edited.stderr
    assert space.get("configmap", "c")["data"] == {"text": "after"}
    # and the set commands
    space.apply(deployment("web"))
    space.kubectl("set", "env", "deployment/web", "A=b")
    space.kubectl("set", "resources", "deployment/web", "--limits=cpu=100m,memory=64Mi")
    space.kubectl("set", "serviceaccount", "deployment", "web", "default")
    container = space.get("deployment", "web")["spec"]["template"]["spec"]["containers"][0]
    assert (container["env"], container["resources"]["limits"]) == ([{"name": "A", "value": "b"}], {"cpu": "100m", "memory": "64Mi"})


def test_expose_gives_a_service_with_endpoints(simulated_space: Space) -> None:
    space = simulated_space
    space.apply(deployment("web"))
    rolled_out(space, "web")
    space.kubectl("expose", "deployment", "web", "--port=8080", "--target-port=80", "--type=NodePort")
    service = space.get("service", "web")
    assert service["spec"]["ports"][0]["nodePort"] >= 30000
    until_true(lambda: len(re.findall(r"[\d.]+:80\b", told(space))) == 2, "both pods are endpoints")
    assert table(space.kubectl("get", "endpointslices", "-l", "kubernetes.io/service-name=web").stdout)[1][1:3] == ["IPv4", "80"]


def told(space: Space) -> str:
    return next(line for line in space.kubectl("describe", "service", "web").stdout.splitlines() if line.startswith("Endpoints:"))


# ---- apply ---------------------------------------------------------------------------------------------------------


def test_apply_on_the_clients_side_merges_three_ways(simulated_space: Space) -> None:
    space = simulated_space
    first = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"a": "1", "b": "2"}}

    def apply(manifest: dict[str, Any], *words: str) -> str:
        return space.kubectl("apply", *words, "-f", "-", input=json.dumps(manifest)).stdout.strip()

    assert apply(first) == "configmap/c created"
    assert apply(first) == "configmap/c unchanged"
    space.kubectl("patch", "configmap", "c", "-p", '{"data":{"mine":"kept"}}')
    second = first | {"data": {"b": "3"}}
    difference = space.kubectl("diff", "-f", "-", input=json.dumps(second), check=False)
    assert difference.returncode == 1
    assert '-  a: "1"' in difference.stdout
    assert apply(second, "--dry-run=server") == "configmap/c configured (server dry run)"
    assert apply(second) == "configmap/c configured"
    assert space.get("configmap", "c")["data"] == {"b": "3", "mine": "kept"}
    assert "b: \"3\"" in space.kubectl("apply", "view-last-applied", "configmap", "c").stdout


def test_apply_on_the_servers_side_knows_whose_fields_are_whose(simulated_space: Space) -> None:
    space = simulated_space

    def apply(replicas: int | None, *words: str) -> subprocess.CompletedProcess[str]:
        manifest = deployment("web")
        if replicas is None:
            del manifest["spec"]["replicas"]
        else:
            manifest["spec"]["replicas"] = replicas
        return space.kubectl("apply", "--server-side", *words, "-f", "-", input=json.dumps(manifest), check=False)

    assert apply(2).stdout == "deployment.apps/web serverside-applied\n"
    conflict = apply(3, "--field-manager=other")
    assert conflict.returncode == 1
    assert 'conflict with "kubectl": .spec.replicas' in conflict.stderr
    assert apply(3, "--field-manager=other", "--force-conflicts").returncode == 0
    # when the first no longer says how many, it is the other's number that stays
    assert apply(None).returncode == 0
    found = json.loads(space.kubectl("get", "deployment", "web", "-o", "json", "--show-managed-fields").stdout)
    assert found["spec"]["replicas"] == 3
    assert {entry["manager"] for entry in found["metadata"]["managedFields"] if entry["operation"] == "Apply"} == {"kubectl", "other"}


def test_apply_moves_from_the_clients_side_to_the_servers(simulated_space: Space) -> None:
    space = simulated_space
    space.apply(deployment("web"))
    moved = space.kubectl("apply", "--server-side", "-f", "-", input=json.dumps(deployment("web", image="web:2")), check=False)
    assert (moved.returncode, moved.stderr) == (0, "")
    assert image_of(space) == "web:2"


def test_unknown_fields_are_refused_and_schemas_checked(simulated_space: Space) -> None:
    space = simulated_space
    wrong = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "dta": {}}
    refused = space.kubectl("apply", "-f", "-", input=json.dumps(wrong), check=False)
    assert refused.returncode == 1
    assert 'unknown field "dta"' in refused.stderr
    warned = space.kubectl("apply", "--validate=warn", "-f", "-", input=json.dumps(wrong))
    assert 'unknown field "dta"' in warned.stderr
    unknown = space.kubectl("apply", "-f", "-", input='{"apiVersion":"nope.example/v1","kind":"Nope","metadata":{"name":"n"}}', check=False)
    assert 'no matches for kind "Nope" in version "nope.example/v1"' in unknown.stderr
    invalid = space.kubectl("create", "-f", "-", input=json.dumps(deployment("Bad_Name")), check=False)
    assert 'The Deployment "Bad_Name" is invalid: metadata.name: Invalid value: "Bad_Name"' in invalid.stderr


# ---- nodes ---------------------------------------------------------------------------------------------------------


def test_cordon_drain_and_uncordon(simulated_space: Space) -> None:
    space, node = simulated_space, simulated_space.cluster.config.node_name(1)
    space.apply(deployment("web", replicas=4))
    rolled_out(space, "web")
    try:
        # when
        space.kubectl("cordon", node)
        row = next(row for row in table(space.kubectl("get", "nodes").stdout) if row[0] == node)
        assert row[1] == "Ready,SchedulingDisabled"
        drained = space.kubectl("drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--force", "--timeout=120s")
        # then
        assert f"node/{node} drained" in drained.stdout
        rolled_out(space, "web")
        used = space.kubectl("get", "pods", "-o", "jsonpath={.items[*].spec.nodeName}").stdout.split()
        assert used == [space.cluster.node] * 4
    finally:
        space.kubectl("uncordon", node)
    assert next(row for row in table(space.kubectl("get", "nodes").stdout) if row[0] == node)[1] == "Ready"


def test_a_taint_keeps_pods_away_and_the_message_says_so(simulated_space: Space) -> None:
    space = simulated_space
    names = [space.cluster.config.node_name(index) for index in (0, 1)]
    try:
        for name in names:
            space.kubectl("taint", "nodes", name, f"{space.name}=x:NoSchedule")
        space.kubectl("run", "waiting", "--image=nginx")
        message = until_true(lambda: space.kubectl("get", "pod", "waiting", "-o", "jsonpath={.status.conditions[0].message}").stdout, "the pod is looked at")
        assert message.startswith("0/2 nodes are available: 2 node(s) had untolerated taint(s)")
        assert "FailedScheduling" in space.kubectl("events", "--for", "pod/waiting").stdout
    finally:
        for name in names:
            space.kubectl("taint", "nodes", name, f"{space.name}-")
    space.kubectl("wait", "--for=condition=Ready", "pod/waiting", "--timeout=120s")


# ---- delete --------------------------------------------------------------------------------------------------------


def test_deletion_takes_dependents_along_or_leaves_them(simulated_space: Space) -> None:
    space = simulated_space
    for name in ("gone", "orphaned", "foreground"):
        space.apply(deployment(name, replicas=1))
        rolled_out(space, name)
    # when
    space.kubectl("delete", "deployment", "orphaned", "--cascade=orphan")
    space.kubectl("delete", "deployment", "foreground", "--cascade=foreground")
    space.kubectl("delete", "deployment", "gone")
    # then
    until_true(lambda: not space.kubectl("get", "pods", "-l", "app in (gone,foreground)", "-o", "name").stdout, "the dependents are gone")
    assert len(space.kubectl("get", "replicasets,pods", "-l", "app=orphaned", "-o", "name").stdout.split()) == 2
    space.kubectl("delete", "replicasets", "--all")
    until_true(lambda: not space.kubectl("get", "pods", "-o", "name").stdout, "the last pod is gone")


def test_a_deleted_namespace_is_emptied_first(simulated_space: Space) -> None:
    space = simulated_space
    name = f"{space.name}-more"
    space.kubectl("create", "namespace", name)
    space.kubectl("create", "configmap", "c", "-n", name)
    until_true(lambda: space.cluster.get("serviceaccount", "default", "-n", name), "the default service account")
    space.kubectl("run", "one", "--image=nginx", "-n", name)
    assert f'namespace "{name}" deleted' in space.kubectl("delete", "namespace", name, "--timeout=120s").stdout
    assert space.cluster.get("namespace", name) is None


# ---- what the server tells about itself ----------------------------------------------------------------------------


def test_api_resources_versions_and_cluster_info(simulated_cluster: Cluster) -> None:
    rows = table(simulated_cluster.kubectl("api-resources").stdout)
    assert ["deployments", "deploy", "apps/v1", "true", "Deployment"] in rows
    assert ["nodes", "no", "v1", "false", "Node"] in rows
    wide = simulated_cluster.kubectl("api-resources", "--api-group=apps", "--verbs=list,watch", "-o", "wide").stdout
    assert "create,delete,deletecollection,get,list,patch,update,watch" in wide
    assert {"v1", "apps/v1", "batch/v1", "rbac.authorization.k8s.io/v1"} <= set(simulated_cluster.kubectl("api-versions").stdout.split())
    assert "Kubernetes control plane" in simulated_cluster.kubectl("cluster-info").stdout
    assert re.fullmatch(r"v1\.36\.\d+\+sampan", json.loads(simulated_cluster.kubectl("version", "-o", "json").stdout)["serverVersion"]["gitVersion"])
    assert simulated_cluster.kubectl("get", "--raw", "/readyz").stdout == "ok"


def test_explain_speaks_v2_to_clients_that_ask_for_it(simulated_cluster: Cluster) -> None:
    told = simulated_cluster.kubectl("explain", "pod.spec.containers", "--output=plaintext-openapiv2").stdout
    assert re.search(r"^RESOURCE: containers <\[\]Object>$", told, re.MULTILINE)
    assert re.search(r"^   imagePullPolicy\t<string>$", told, re.MULTILINE)


@pytest.mark.parametrize("kind", ["pods", "deployments", "cronjobs", "customresourcedefinitions", "networkpolicies"])
def test_explain_knows_every_field(simulated_cluster: Cluster, kind: str) -> None:
    told = simulated_cluster.kubectl("explain", kind, "--recursive").stdout
    assert re.search(r"^  apiVersion\t<string>$", told, re.MULTILINE)
    assert re.search(r"^  spec\t<\w+>", told, re.MULTILINE)


def test_explain_tells_of_one_field(simulated_cluster: Cluster) -> None:
    told = simulated_cluster.kubectl("explain", "pod.spec.containers.livenessProbe.httpGet.port").stdout
    assert re.search(r"FIELD: port <\w+>", told)
    wrong = simulated_cluster.kubectl("explain", "pod.spec.nothing", check=False)
    assert 'field "nothing" does not exist' in wrong.stderr


def test_auth_can_i_whoami_and_reconcile(simulated_space: Space) -> None:
    space = simulated_space
    space.kubectl("create", "serviceaccount", "bob")
    space.kubectl("create", "role", "r", "--verb=get", "--resource=pods")
    space.kubectl("create", "rolebinding", "rb", "--role=r", f"--serviceaccount={space.name}:bob")
    bob = f"--as=system:serviceaccount:{space.name}:bob"
    assert space.kubectl("auth", "can-i", "create", "pods").stdout == "yes\n"
    assert space.kubectl("auth", "can-i", "get", "pods", bob).stdout == "yes\n"
    assert space.kubectl("auth", "can-i", "delete", "pods", bob, check=False).stdout == "no\n"
    assert re.search(r"^pods +\[\] +\[\] +\[get\]$", space.kubectl("auth", "can-i", "--list", bob).stdout, re.MULTILINE)
    refused = space.kubectl("get", "pods", bob, check=False)
    assert f'User "system:serviceaccount:{space.name}:bob" cannot list resource "pods" in API group "" in the namespace "{space.name}"' in refused.stderr
    assert re.search(r"Username +kubernetes-admin", space.kubectl("auth", "whoami").stdout)
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "r", "namespace": space.name},
            "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}]}
    space.kubectl("auth", "reconcile", "-f", "-", input=json.dumps(role))
    assert space.kubectl("get", "pods", bob).returncode == 0


def test_a_token_from_kubectl_opens_the_door_that_its_account_may_open(simulated_space: Space) -> None:
    space = simulated_space
    token = space.kubectl("create", "token", "default").stdout.strip()
    server = space.cluster.kubectl("config", "view", "--minify", "-o", "jsonpath={.clusters[0].cluster.server}").stdout
    done = subprocess.run(["kubectl", f"--token={token}", f"--server={server}", "--kubeconfig=/dev/null", "--insecure-skip-tls-verify", "auth", "whoami"],
                          capture_output=True, text=True, check=False, env=space.cluster.environment, timeout=PATIENCE_SECONDS)
    assert f"system:serviceaccount:{space.name}:default" in done.stdout, done.stderr


def test_events_are_listed_and_sorted(simulated_space: Space) -> None:
    space = simulated_space
    space.kubectl("run", "one", "--image=nginx")
    space.kubectl("wait", "--for=condition=Ready", "pod/one", "--timeout=120s")
    reasons = until_true(lambda: [r for r in ("Scheduled", "Pulled", "Created", "Started") if r in space.kubectl("events", "--for", "pod/one").stdout] or None, "events")
    until_true(lambda: "Started" in space.kubectl("events", "--for", "pod/one").stdout, "the last event")
    assert reasons
    shown = table(space.kubectl("get", "events", "--sort-by=.lastTimestamp").stdout)
    assert shown[0] == ["LAST SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"]
    only = space.kubectl("get", "events", "--field-selector", "involvedObject.name=one,reason=Scheduled", "-o", "name").stdout.split()
    assert len(only) == 1


def test_contexts_are_used_renamed_and_left(simulated_space: Space, tmp_path: Path) -> None:
    space, config = simulated_space, tmp_path / "config"
    shutil.copy(space.cluster.kubeconfig, config)

    def kubectl(*words: str) -> str:
        done = subprocess.run(["kubectl", *words], capture_output=True, text=True, check=False, timeout=PATIENCE_SECONDS,
                              env={**os.environ, "KUBECONFIG": str(config), "HOME": str(tmp_path)})
        assert done.returncode == 0, done.stderr
        return done.stdout

    name = kubectl("config", "current-context").strip()
    kubectl("config", "set-context", "--current", f"--namespace={space.name}")
    kubectl("create", "configmap", "here")
    assert space.get("configmap", "here")
    kubectl("config", "set-context", "other", "--cluster", kubectl("config", "view", "-o", "jsonpath={.clusters[0].name}"),
            "--user", kubectl("config", "view", "-o", "jsonpath={.users[0].name}"))
    kubectl("config", "use-context", "other")
    assert kubectl("get", "namespace", space.name, "-o", "name") == f"namespace/{space.name}\n"
    kubectl("config", "rename-context", "other", "another")
    assert set(kubectl("config", "get-contexts", "-o", "name").split()) == {name, "another"}
    kubectl("config", "delete-context", "another")
    kubectl("config", "use-context", name)


def test_paging_and_large_lists(simulated_space: Space) -> None:
    space = simulated_space
    items = [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"c{number:03}"}} for number in range(60)]
    space.kubectl("create", "-f", "-", input=json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    names = space.kubectl("get", "configmaps", "--chunk-size=7", "-o", "name").stdout.split()
    assert len([name for name in names if name.startswith("configmap/c")]) == 60
    space.kubectl("delete", "configmaps", "--all", "--wait=false")  # a wait asks for each, five a second
