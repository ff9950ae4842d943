"""Findings about pod specs: paths and words, one table a theme."""

from __future__ import annotations

from typing import Any

import pytest

from kinds.core.making import findings, pod_body
from sampan.api import codec
from sampan.api.core.v1 import PodTemplateSpec
from sampan.api.resources import PODS
from sampan.kinds.core.pod_spec import default_pod_template, validate_pod_template

LABEL = ("a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an "
         "alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')")


def container(**fields: Any) -> dict[str, Any]:
    return {"containers": [{"name": "c", "image": "x"} | fields]}


def volume(**source: Any) -> dict[str, Any]:
    return {"volumes": [{"name": "v"} | source]}


CONTAINERS = {
    "spec.containers: Required value": {"containers": []},
    "spec.containers[0].image: Required value": container(image=""),
    f'spec.containers[0].name: Invalid value: "C": {LABEL}': container(name="C"),
    'spec.containers[0].image: Invalid value: " x": must not have leading or trailing whitespace': container(image=" x"),
    'spec.containers[0].imagePullPolicy: Unsupported value: "Maybe": supported values: "Always", "IfNotPresent", "Never"':
        container(imagePullPolicy="Maybe"),
    "spec.containers[0].ports[0].containerPort: Required value": container(ports=[{"containerPort": 0}]),
    'spec.containers[0].ports[1].hostPort: Duplicate value: "TCP//9"':
        container(ports=[{"containerPort": 1, "hostPort": 9}, {"containerPort": 2, "hostPort": 9}]),
    'spec.containers[0].ports[1].name: Duplicate value: "x"':
        container(ports=[{"containerPort": 1, "name": "x"}, {"containerPort": 2, "name": "x"}]),
    "spec.initContainers[0].readinessProbe: Forbidden: may not be set for init containers without restartPolicy=Always":
        {"initContainers": [{"name": "i", "image": "x", "readinessProbe": {"exec": {"command": ["x"]}}}]},
    'spec.initContainers[0].name: Duplicate value: "c"': {"initContainers": [{"name": "c", "image": "x"}]},
    "spec.ephemeralContainers: Forbidden: cannot be set on create": {"ephemeralContainers": [{"name": "e", "image": "x"}]},
    "spec.containers[0].livenessProbe.successThreshold: Invalid value: 2: must be 1":
        container(livenessProbe={"successThreshold": 2, "tcpSocket": {"port": 1}}),
    "spec.containers[0].startupProbe: Required value: must specify a handler type": container(startupProbe={}),
    "spec.containers[0].lifecycle.preStop.sleep: Invalid value: 31: must be non-negative and less than "
    "terminationGracePeriodSeconds (30)": container(lifecycle={"preStop": {"sleep": {"seconds": 31}}}),
    "spec.containers[0].restartPolicy: Required value: must specify restartPolicy when restart rules are used":
        container(restartPolicyRules=[{"action": "Restart", "exitCodes": {"operator": "In", "values": [1]}}]),
    "spec.containers[0].resizePolicy: Invalid value: \"RestartContainer\": must be 'NotRequired' when pod `restartPolicy` is 'Never'":
        container(resizePolicy=[{"resourceName": "cpu", "restartPolicy": "RestartContainer"}]) | {"restartPolicy": "Never"},
    "spec.initContainers[0].resizePolicy[0].restartPolicy: Invalid value: \"RestartContainer\": must not be set to 'RestartContainer' "
    "for non-sidecar initContainers": {"initContainers": [
        {"name": "i", "image": "x", "resizePolicy": [{"resourceName": "cpu", "restartPolicy": "RestartContainer"}]}]},
    "spec.initContainers[0].restartPolicy: Required value: must specify restartPolicy when restart rules are used":
        {"initContainers": [{"name": "i", "image": "x", "restartPolicyRules": [{"action": "Odd"}]}]},
}
ENVIRONMENT = {
    "spec.containers[0].env[0].name: Required value": container(env=[{"name": ""}]),
    'spec.containers[0].env[0].valueFrom: Invalid value: "": may not be specified when `value` is not empty':
        container(env=[{"name": "A", "value": "1", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]),
    'spec.containers[0].env[0].valueFrom.fieldRef.fieldPath: Unsupported value: "status.phase": supported values: "metadata.name", '
    '"metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName", "status.hostIP", "status.hostIPs", '
    '"status.podIP", "status.podIPs"': container(env=[{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "status.phase"}}}]),
    'spec.containers[0].env[0].valueFrom.resourceFieldRef.divisor: Invalid value: "limits.cpu": only divisor\'s values 1m and 1 are '
    "supported with the cpu resource":
        container(env=[{"name": "A", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu", "divisor": "2"}}}]),
    'spec.containers[0].envFrom: Invalid value: "": must specify one of: `configMapRef` or `secretRef`': container(envFrom=[{}]),
    "spec.containers[0].env[0].valueFrom.fileKeyRef.path: Required value":
        container(env=[{"name": "A", "valueFrom": {"fileKeyRef": {"volumeName": "v", "key": "K", "path": ""}}}]) | volume(emptyDir={}),
    'spec.containers[0].env[0].valueFrom.fileKeyRef.volumeName: Not found: "v"':
        container(env=[{"name": "A", "valueFrom": {"fileKeyRef": {"volumeName": "v", "key": "K", "path": "/p"}}}]),
    'spec.containers[0].env[0].valueFrom.fileKeyRef.volumeName: Invalid value: "v": referenced volume must be of type emptyDir':
        container(env=[{"name": "A", "valueFrom": {"fileKeyRef": {"volumeName": "v", "key": "K", "path": "p"}}}]) | volume(hostPath={"path": "/"}),
}
VOLUMES = {
    "spec.volumes[0].hostPath: Forbidden: may not specify more than 1 volume type": volume(emptyDir={}, hostPath={"path": "/x"}),
    "spec.volumes[0].secret.items[0].path: Invalid value: \"../a\": must not contain '..'":
        volume(secret={"secretName": "s", "items": [{"key": "k", "path": "../a"}]}),
    "spec.volumes[0].configMap.defaultMode: Invalid value: 512: must be a number between 0 and 0777 (octal), both inclusive":
        volume(configMap={"name": "c", "defaultMode": 512}),
    "spec.volumes[0].projected.sources[0].serviceAccountToken.expirationSeconds: Invalid value: 5: "
    "may not specify a duration less than 10 minutes":
        volume(projected={"sources": [{"serviceAccountToken": {"path": "t", "expirationSeconds": 5}}]}),
    'spec.volumes[0].iscsi.iqn: Invalid value: "x": must be valid format starting with iqn, eui, or naa':
        volume(iscsi={"targetPortal": "p", "iqn": "x"}),
    'spec.volumes[0].iscsi.initiatorname: Invalid value: "iqn.2024-01.a": must be valid format':
        volume(iscsi={"targetPortal": "p", "iqn": "iqn.2024-01.A:b", "initiatorName": "iqn.2024-01.a"}),
    "spec.volumes[0].image.reference: Required value": volume(image={}),
    "spec.volumes[0].persistentDisk.pdName: Required value": volume(gcePersistentDisk={}),
    "spec.volumes[0].persistentDisk.partition: Invalid value: 256: must be between 1 and 255, inclusive":
        volume(gcePersistentDisk={"pdName": "d", "partition": 256}),
    "spec.volumes[0].ephemeral.volumeClaimTemplate.metadata.name: Forbidden: cannot be set":
        volume(ephemeral={"volumeClaimTemplate": {"metadata": {"name": "x"}, "spec": {
            "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1"}}}}}),
    'spec.volumes[1].name: Duplicate value: "v"': {"volumes": [{"name": "v"}, {"name": "v"}]},
    'spec.containers[0].volumeMounts[0].name: Not found: "none"': container(volumeMounts=[{"name": "none", "mountPath": "/x"}]),
    "spec.containers[0].volumeMounts.mountPropagation: Forbidden: Bidirectional mount propagation is available only to "
    "privileged containers": container(volumeMounts=[{"name": "v", "mountPath": "/x", "mountPropagation": "Bidirectional"}]) | volume(),
    'spec.containers[0].volumeDevices[0].name: Invalid value: "v": can only use volume source type of PersistentVolumeClaim or '
    "Ephemeral for block mode": container(volumeDevices=[{"name": "v", "devicePath": "/x"}]) | volume(),
}
RESOURCES = {
    'spec.containers[0].resources.requests: Invalid value: "2": must be less than or equal to cpu limit of 1':
        container(resources={"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}),
    'spec.containers[0].resources.requests: Invalid value: "1": must be equal to example.com/gpu limit of 2':
        container(resources={"requests": {"example.com/gpu": "1"}, "limits": {"example.com/gpu": "2"}}),
    "spec.containers[0].resources.limits: Required value: Limit must be set for non overcommitable resources":
        container(resources={"requests": {"example.com/gpu": "1"}}),
    'spec.containers[0].resources.requests[memory]: Invalid value: "-1": must be greater than or equal to 0':
        container(resources={"requests": {"memory": "-1"}}),
    'spec.containers[0].resources.claims[0]: Not found: "gpu": must be one of the names in pod.spec.resourceClaims which is empty':
        container(resources={"claims": [{"name": "gpu"}]}),
    'spec.resources.requests[cpu]: Invalid value: "1": must be greater than or equal to aggregate container requests of 2':
        container(resources={"requests": {"cpu": "2"}}) | {"resources": {"requests": {"cpu": "1"}}},
    "spec.resources: Forbidden: may not be set for a windows pod":
        {"resources": {"requests": {"cpu": "-1"}}, "os": {"name": "windows"}},
    "spec.resources.claims: Forbidden: claims may not be set for Resources at pod-level":
        {"resources": {"claims": [{"name": "c"}]}, "resourceClaims": [{"name": "c", "resourceClaimName": "c"}]},
    "spec.resourceClaims[0]: Invalid value: {\"Name\":\"c\",\"ResourceClaimName\":null,\"ResourceClaimTemplateName\":null}: "
    "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`": {"resourceClaims": [{"name": "c"}]},
}
SECURITY = {
    "spec.securityContext.runAsUser: Invalid value: -5: must be between 0 and 2147483647, inclusive": {"securityContext": {"runAsUser": -5}},
    'spec.securityContext.sysctls[0].name: Invalid value: "net.ipv4.tcp_syncookies": may not be specified when \'hostNetwork\' is true':
        {"hostNetwork": True, "securityContext": {"sysctls": [{"name": "net.ipv4.tcp_syncookies", "value": "1"}]}},
    "spec.containers[0].securityContext.seccompProfile.localhostProfile: Required value: must be set when seccomp type is Localhost":
        container(securityContext={"seccompProfile": {"type": "Localhost"}}),
    'spec.containers[0].securityContext.procMount: Invalid value: "Unmasked": `hostUsers` must be false to use `Unmasked`':
        container(securityContext={"procMount": "Unmasked"}),
    "spec.HostPID: Forbidden: when `hostUsers` is false": {"hostUsers": False, "hostPID": True},
    "spec.containers[0].volumeDevices: Forbidden: when `hostUsers` is false": container(
        volumeDevices=[{"name": "v", "devicePath": "/x"}]) | volume(persistentVolumeClaim={"claimName": "c"}) | {"hostUsers": False},
    'spec.securityContext.seLinuxChangePolicy: Unsupported value: "MountOption": supported values: "Recursive"':
        {"securityContext": {"seLinuxChangePolicy": "MountOption"}},
    "spec.os.name: Required value": {"os": {"name": ""}},
    "spec.hostUsers: Forbidden: cannot be set for a windows pod": {"hostUsers": False, "os": {"name": "windows"}},
    "spec.hostIPC: Forbidden: cannot be set for a windows pod": {"hostIPC": True, "os": {"name": "windows"}},
    "spec.containers[0].securityContext.windowsOptions: Forbidden: windows options cannot be set for a linux pod":
        container(securityContext={"windowsOptions": {"runAsUserName": "x"}}) | {"os": {"name": "linux"}},
    'spec.containers[0].securityContext.windowsOptions.runAsUserName: Invalid value: "a\\\\b\\\\c": '
    "runAsUserName cannot contain more than one backslash": container(securityContext={"windowsOptions": {"runAsUserName": "a\\b\\c"}}),
    "spec.containers[0].securityContext.appArmorProfile.type: Required value: type is required when appArmorProfile is set":
        container(securityContext={"appArmorProfile": {"type": ""}}),
}
SCHEDULING = {
    'spec.tolerations[0].operator: Unsupported value: "Near": supported values: "Equal", "Exists"':
        {"tolerations": [{"key": "a", "operator": "Near"}]},
    "spec.topologySpreadConstraints[0].matchLabelKeys: Forbidden: must not be specified when labelSelector is not set":
        {"topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "z", "whenUnsatisfiable": "DoNotSchedule", "matchLabelKeys": ["-"]}]},
    'spec.topologySpreadConstraints[0][0]: Invalid value: "a": exists in both matchLabelKeys and labelSelector':
        {"topologySpreadConstraints": [{
            "maxSkew": 1, "topologyKey": "z", "whenUnsatisfiable": "DoNotSchedule", "matchLabelKeys": ["a"],
            "labelSelector": {"matchLabels": {"a": "b"}, "matchExpressions": [{"key": "a", "operator": "Exists"}]}}]},
    'spec.tolerations[0].operator: Unsupported value: "Lt": supported values: "Equal", "Exists", "Lt", "Gt"': {"tolerations": [{"key": "a", "operator": "Lt"}]},
    "spec.topologySpreadConstraints[0].maxSkew: Invalid value: 0: must be greater than zero":
        {"topologySpreadConstraints": [{"maxSkew": 0, "topologyKey": "z", "whenUnsatisfiable": "DoNotSchedule"}]},
    'spec.topologySpreadConstraints[0].{topologyKey, whenUnsatisfiable}: Duplicate value: "{z, DoNotSchedule}"':
        {"topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "z", "whenUnsatisfiable": "DoNotSchedule"}] * 2},
    "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms: Required value: "
    "must have at least one node selector term":
        {"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": []}}}},
    "spec.affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].matchLabelKeys: Forbidden: "
    "must not be specified when labelSelector is not set":
        {"affinity": {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{"topologyKey": "z", "matchLabelKeys": ["a"]}]}}},
    'spec.schedulingGates[1]: Duplicate value: "g"': {"schedulingGates": [{"name": "g"}, {"name": "g"}]},
    "spec.nodeName: Forbidden: cannot be set until all schedulingGates have been cleared":
        {"nodeName": "n", "schedulingGates": [{"name": "g"}]},
}
THE_REST = {
    "spec.hostnameOverride: Too long: may not be more than 64 bytes": {"hostnameOverride": "a" * 65},
    "spec.hostnameOverride: Forbidden: may not be specified when hostNetwork is true": {"hostnameOverride": "a", "hostNetwork": True},
    'spec.restartPolicy: Unsupported value: "Sometimes": supported values: "Always", "OnFailure", "Never"': {"restartPolicy": "Sometimes"},
    "spec.dnsConfig: Required value: must provide `dnsConfig` when `dnsPolicy` is None": {"dnsPolicy": "None"},
    'spec.hostAliases[0].ip: Invalid value: "1.2.3": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)':
        {"hostAliases": [{"ip": "1.2.3"}]},
    "spec.activeDeadlineSeconds: Invalid value: 0: must be between 1 and 2147483647, inclusive": {"activeDeadlineSeconds": 0},
    "spec.containers[0].ports[0].hostPort: Invalid value: 81: must match `containerPort` when `hostNetwork` is true":
        container(ports=[{"containerPort": 80, "hostPort": 81}]) | {"hostNetwork": True},
    "spec.volumes[0].projected.sources[0].serviceAccountToken: Forbidden: must not be specified when serviceAccountName is not set":
        volume(projected={"sources": [{"serviceAccountToken": {"path": "t"}}]}) | {"serviceAccountName": ""},
}


@pytest.mark.parametrize(("finding", "spec"), [
    pytest.param(finding, spec, id=finding.split(":")[0]) for theme in (
        CONTAINERS, ENVIRONMENT, VOLUMES, RESOURCES, SECURITY, SCHEDULING, THE_REST) for finding, spec in theme.items()])
def test_a_mistake_is_found_once_with_its_path_and_in_upstreams_words(finding: str, spec: dict[str, Any]) -> None:
    assert findings(PODS, pod_body(spec)) == [finding]


def test_a_pod_has_no_less_of_huge_pages_than_its_containers() -> None:
    parts = [{"name": name, "image": "x", "resources": {"limits": {"hugepages-2Mi": "2Mi", "cpu": "1"}}} for name in "ab"]
    whole = {"limits": {"hugepages-2Mi": "2Mi", "cpu": "2"}, "requests": {"hugepages-2Mi": "2Mi"}}
    assert findings(PODS, pod_body({"containers": parts, "resources": whole})) == [
        f'spec.resources.{side}[hugepages-2Mi]: Invalid value: "2Mi": must be greater than or equal to aggregate container {side} of 4Mi'
        for side in ("requests", "limits")]


def test_findings_come_in_upstreams_order() -> None:
    spec = {"hostname": "-", "hostnameOverride": "-", "serviceAccountName": "-", "nodeName": "-", "hostUsers": False, "hostIPC": True,
            "tolerations": [{}], "resources": {"claims": []}, "priorityClassName": "-", "restartPolicy": "x"}
    assert [one.partition(":")[0] for one in findings(PODS, pod_body(spec))] == [
        "spec.restartPolicy", "spec.HostIPC", "spec.hostnameOverride", "spec.serviceAccountName", "spec.nodeName", "spec.hostname",
        "spec.tolerations[0].operator", "spec.priorityClassName"]


def test_a_pod_that_uses_much_is_fine() -> None:
    spec = container(
        ports=[{"containerPort": 80, "name": "http"}], env=[{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}],
        resources={"limits": {"cpu": "1", "example.com/gpu": "2", "hugepages-2Mi": "4Mi"}}, volumeMounts=[{"name": "v", "mountPath": "/v"}],
        readinessProbe={"grpc": {"port": 9}}) | volume(emptyDir={"medium": "Memory"}) | {
        "tolerations": [{"operator": "Exists"}], "nodeSelector": {"a": "b"}, "dnsConfig": {"searches": [".", "_x.local."]}}
    assert findings(PODS, pod_body(spec)) == []


def test_a_template_is_looked_at_below_its_own_path() -> None:
    template = codec.convert(PodTemplateSpec, {
        "metadata": {"labels": {"a b": "c"}, "annotations": {"controller.kubernetes.io/pod-deletion-cost": "01"}},
        "spec": {"containers": [{"name": "c", "image": " x "}], "ephemeralContainers": [{"name": "e", "image": "x"}]}})
    default_pod_template(template)
    assert [error.field for error in validate_pod_template(template, "spec.template")] == [
        "spec.template.labels", "spec.template.annotations[controller.kubernetes.io/pod-deletion-cost]",
        "spec.template.spec.ephemeralContainers"]
