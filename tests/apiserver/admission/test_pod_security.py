from __future__ import annotations

from typing import Any

import pytest

from apiserver.admitting import admit, ask, container, pod, refusal
from apiserver.readers import MemoryReaders
from sampan.api.errors import Invalid
from sampan.api.resources import DEPLOYMENTS, NAMESPACES, PODS
from sampan.apiserver.admission.pod_security import PodSecurity

PREFIX = "pod-security.kubernetes.io/"


def _plugin(**labels: str) -> PodSecurity:
    readers = MemoryReaders()
    named = {PREFIX + key.replace("_", "-"): value for key, value in labels.items()}
    readers.put(NAMESPACES, {"metadata": {"name": "a", "labels": named}})
    readers.put(PODS, pod("old", hostNetwork=True), "a")
    readers.put(PODS, pod("older", hostNetwork=True), "a")
    return PodSecurity(readers)


RESTRICTED = (
    'allowPrivilegeEscalation != false (container "c" must set securityContext.allowPrivilegeEscalation=false), unrestricted '
    'capabilities (container "c" must set securityContext.capabilities.drop=["ALL"]), runAsNonRoot != true (pod or container "c" must '
    'set securityContext.runAsNonRoot=true), seccompProfile (pod or container "c" must set securityContext.seccompProfile.type to '
    '"RuntimeDefault" or "Localhost")')
SAFE = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"}}
GOOD = container(securityContext=SAFE)


def test_a_plain_pod_passes_baseline_and_is_warned_about_restricted() -> None:
    request = admit(_plugin(enforce="baseline", warn="restricted", audit="restricted"), ask("CREATE", PODS, pod()))
    assert request.warnings == [f'would violate PodSecurity "restricted:latest": {RESTRICTED}']
    assert request.audit_annotations[f"{PREFIX}enforce-policy"] == "baseline:latest"
    assert request.audit_annotations[f"{PREFIX}audit-violations"].endswith(RESTRICTED)


def test_a_good_pod_passes_restricted() -> None:
    request = admit(_plugin(enforce="restricted", warn="restricted"), ask("CREATE", PODS, pod(**GOOD)))
    assert request.warnings == []


@pytest.mark.parametrize(("level", "spec", "why"), [
    ("baseline", {**container(securityContext={"privileged": True}), "hostNetwork": True},
     'host namespaces (hostNetwork=true), privileged (container "c" must not set securityContext.privileged=true)'),
    ("baseline", {**container(ports=[{"containerPort": 1, "hostPort": 2}]), "volumes": [{"name": "h", "hostPath": {"path": "/"}}],
                  "hostPID": True},
     'host namespaces (hostPID=true), hostPath volumes (volume "h"), hostPort (container "c" uses hostPort 2)'),
    ("baseline", container(securityContext={"capabilities": {"add": ["SYS_ADMIN", "CHOWN"]}}),
     'non-default capabilities (container "c" must not include "SYS_ADMIN" in securityContext.capabilities.add)'),
    ("baseline", {"securityContext": {"sysctls": [{"name": "kernel.msgmax", "value": "1"}]}}, "forbidden sysctls (kernel.msgmax)"),
    ("baseline", {"securityContext": {"seccompProfile": {"type": "Unconfined"}}},
     'seccompProfile (pod must not set securityContext.seccompProfile.type to "Unconfined")'),
    ("baseline", container(securityContext={"procMount": "Unmasked"}),
     'procMount (container "c" must not set securityContext.procMount to "Unmasked")'),
    ("baseline", {"securityContext": {"seLinuxOptions": {"type": "spc_t", "user": "u"}}},
     'seLinuxOptions (pod set forbidden securityContext.seLinuxOptions: type "spc_t"; user may not be set)'),
    ("restricted", {**GOOD, "volumes": [{"name": "n", "nfs": {"server": "s", "path": "/"}}]},
     'restricted volume types (volume "n" uses restricted volume type "nfs")'),
    ("restricted", {**GOOD, "securityContext": {"runAsUser": 0}}, "runAsUser=0 (pod must not set runAsUser=0)"),
    ("restricted", {**GOOD, "securityContext": {"runAsNonRoot": False}},
     "runAsNonRoot != true (pod must not set securityContext.runAsNonRoot=false)"),
    ("baseline", {"containers": [{"name": "c", "ports": [{"containerPort": 1, "hostPort": 80}, {"containerPort": 2, "hostPort": 443}]},
                                 {"name": "d", "ports": [{"containerPort": 3, "hostPort": 9}]}]},
     'hostPort (containers "c", "d" use hostPorts 443, 80, 9)'),
    ("baseline", container(livenessProbe={"httpGet": {"host": "127.0.0.1", "port": 80}}, readinessProbe={"tcpSocket": {"host": "b", "port": 1}}),
     'probe or lifecycle host (container "c" uses probe or lifecycle hosts "127.0.0.1", "b")'),
    ("baseline", {"securityContext": {"appArmorProfile": {"type": "Unconfined"}}},
     'forbidden AppArmor profile (pod must not set AppArmor profile type to "Unconfined")'),
    ("restricted", {**container(securityContext=SAFE | {"procMount": "Unmasked"}), "hostUsers": False},
     'procMount (container "c" must not set securityContext.procMount to "Unmasked")'),
])
def test_what_violates_the_level_is_refused(level: str, spec: dict[str, Any], why: str) -> None:
    assert refusal(_plugin(enforce=level), ask("CREATE", PODS, pod(**spec))) == (
        f'pods "web" is forbidden: violates PodSecurity "{level}:latest": {why}')
    admit(_plugin(), ask("CREATE", PODS, pod(**spec)))


def test_templates_are_warned_about_and_never_refused() -> None:
    template = {"metadata": {}, "spec": pod(**container(securityContext={"privileged": True}))["spec"]}
    body = {"metadata": {"name": "web"}, "spec": {"selector": {}, "template": template}}
    request = admit(_plugin(enforce="baseline", warn="baseline"), ask("CREATE", DEPLOYMENTS, body))
    assert request.warnings == [
        'would violate PodSecurity "baseline:latest": privileged (container "c" must not set securityContext.privileged=true)']


def test_an_update_counts_when_it_changes_what_is_judged() -> None:
    plugin, old = _plugin(enforce="baseline"), pod(hostNetwork=True)
    admit(plugin, ask("UPDATE", PODS, pod(hostNetwork=True, metadata={"labels": {"a": "b"}}), old))
    admit(plugin, ask("UPDATE", PODS, pod(hostNetwork=True, metadata={"annotations": {"a": "b"}}), old))
    image = pod(hostNetwork=True, containers=[{"name": "c", "image": "other"}])
    assert "hostNetwork=true" in refusal(plugin, ask("UPDATE", PODS, image, old))
    debug = pod(hostNetwork=True, ephemeralContainers=[{"name": "d", "image": "x"}])
    assert "hostNetwork=true" in refusal(plugin, ask("UPDATE", PODS, debug, old, subresource="ephemeralcontainers"))
    admit(plugin, ask("UPDATE", PODS, debug, debug))


@pytest.mark.parametrize(("label", "value", "why"), [
    ("enforce", "nonsense", "must be one of privileged, baseline, restricted"),
    ("enforce-version", "v9", 'must be "latest" or "v1.x"'),
])
def test_labels_that_say_nothing_are_refused(label: str, value: str, why: str) -> None:
    body = {"metadata": {"name": "a", "labels": {PREFIX + label: value}}}
    text = f'Namespace "a" is invalid: metadata.labels[{PREFIX}{label}]: Invalid value: "{value}": {why}'
    assert refusal(_plugin(), ask("CREATE", NAMESPACES, body), Invalid) == text
    assert refusal(_plugin(), ask("UPDATE", NAMESPACES, body, {"metadata": {"name": "a"}}), Invalid) == text
    admit(_plugin(), ask("UPDATE", NAMESPACES, body, body))


def test_a_stricter_level_tells_about_the_pods_that_are_there() -> None:
    body = {"metadata": {"name": "a", "labels": {f"{PREFIX}enforce": "baseline"}}}
    request = admit(_plugin(), ask("UPDATE", NAMESPACES, body, {"metadata": {"name": "a"}}))
    assert request.warnings == [
        'existing pods in namespace "a" violate the new PodSecurity enforce level "baseline:latest"',
        "old (and 1 other pod): host namespaces"]


def test_what_is_enforced_is_warned_about_where_nothing_is_said_of_warnings() -> None:
    template = {"metadata": {}, "spec": pod(**container(securityContext={"privileged": True}))["spec"]}
    body = {"metadata": {"name": "web"}, "spec": {"selector": {}, "template": template}}
    told = 'would violate PodSecurity "baseline:v1.30": privileged (container "c" must not set securityContext.privileged=true)'
    assert admit(_plugin(enforce="baseline", enforce_version="v1.30"), ask("CREATE", DEPLOYMENTS, body)).warnings == [told]
    assert admit(_plugin(enforce="baseline", warn="privileged"), ask("CREATE", DEPLOYMENTS, body)).warnings == []


@pytest.mark.parametrize(("version", "spec", "why"), [
    ("v1.33", container(livenessProbe={"httpGet": {"host": "b", "port": 80}}), ""),
    ("v1.34", container(livenessProbe={"httpGet": {"host": "b", "port": 80}}), "probe or lifecycle host"),
    ("v1.30", {"securityContext": {"seLinuxOptions": {"type": "container_engine_t"}}}, "seLinuxOptions"),
    ("v1.31", {"securityContext": {"seLinuxOptions": {"type": "container_engine_t"}}}, ""),
    ("v1.28", {"securityContext": {"sysctls": [{"name": "net.ipv4.tcp_fin_timeout", "value": "1"}]}}, "forbidden sysctls"),
    ("v1.34", {**container(securityContext={"procMount": "Unmasked"}), "hostUsers": False}, "procMount"),
    ("v1.35", {**container(securityContext={"procMount": "Unmasked"}), "hostUsers": False}, ""),
    ("v1.18", {"metadata": {"annotations": {"seccomp.security.alpha.kubernetes.io/pod": "x"}}},
     'seccompProfile (forbidden annotation seccomp.security.alpha.kubernetes.io/pod="x")'),
])
def test_a_namespace_may_ask_for_the_rules_of_an_older_version(version: str, spec: dict[str, Any], why: str) -> None:
    plugin, request = _plugin(enforce="baseline", enforce_version=version), ask("CREATE", PODS, pod(**spec))
    if why:
        assert why in refusal(plugin, request)
    else:
        admit(plugin, request)


def test_old_notes_about_profiles_are_told_with_their_keys() -> None:
    key = "container.apparmor.security.beta.kubernetes.io/c"
    assert refusal(_plugin(enforce="baseline"), ask("CREATE", PODS, pod(metadata={"annotations": {key: "unconfined"}}))).endswith(
        f'forbidden AppArmor profile (annotation must not set AppArmor profile type to "{key}="unconfined"")')
