"""Warnings about pods."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinds.core.making import pod
from sampan.api.core.v1 import PodTemplateSpec
from sampan.api.meta.v1 import ObjectMeta
from sampan.api.resources import PODS
from sampan.kinds.all import kind_of
from sampan.kinds.core.pod_spec import pod_spec_warnings

ENV = 'spec.containers[0].env[1]: hides previous definition of "A", which may be dropped when using apply'
CASES: list[tuple[dict[str, Any], list[str]]] = [
    ({"containers": [{"name": "c", "image": "x", "env": [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]}]}, [ENV]),
    ({"containers": [{"name": "c", "image": "x", "env": [{"name": "A", "value": "1"}, {"name": "A", "value": "$(A)2"}]}]}, []),
    ({"nodeSelector": {"beta.kubernetes.io/os": "linux"}},
     ['spec.nodeSelector[beta.kubernetes.io/os]: deprecated since v1.14; use "kubernetes.io/os" instead']),
    ({"volumes": [{"name": "v", "gitRepo": {"repository": "r"}}]},
     ["spec.volumes[0].gitRepo: deprecated in v1.11, and disabled by default in v1.33+"]),
    ({"containers": [{"name": "c", "image": "x", "resources": {"requests": {"memory": "500m"}}}]},
     ['spec.containers[0].resources.requests[memory]: fractional byte value "500m" is invalid, must be an integer']),
    ({"containers": [{"name": "c", "image": "x", "ports": [{"containerPort": 80}, {"containerPort": 80, "name": "b"}]}]},
     ["spec.containers[0].ports[1]: duplicate port definition with spec.containers[0].ports[0]"]),
    ({"imagePullSecrets": [{"name": "a"}, {"name": "a"}]}, ['spec.imagePullSecrets[1].name: duplicate name "a"']),
    ({"nodeSelector": {"node-role.kubernetes.io/master": ""}},
     ['spec.nodeSelector[node-role.kubernetes.io/master]: use "node-role.kubernetes.io/control-plane" instead']),
    ({"affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [
        {"weight": 1, "preference": {"matchExpressions": [{"key": "a", "operator": "In", "values": ["b/"]}]}}]}}},
     ["spec.affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].preference.matchExpressions[0].values[0]: "
      "b/ is invalid, a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start "
      "and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is "
      "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"]),
    ({"initContainers": [{"name": "i", "image": "x", "ports": [{"containerPort": 80, "name": "p"}]}],
      "containers": [{"name": "c", "image": "x", "ports": [{"containerPort": 81, "name": "p"}]}]},
     ['spec.containers[0].ports[0]: duplicate port name "p" with spec.initContainers[0].ports[0], services and probes that '
      "select ports by name will use spec.initContainers[0].ports[0]"]),
    ({"hostAliases": [{"ip": "2001:DB8::1", "hostnames": ["h"]}]},
     ['spec.hostAliases[0].ip: IPv6 address "2001:DB8::1" should be in RFC 5952 canonical format ("2001:db8::1")']),
    ({"volumes": [{"name": "v", "cephfs": {"monitors": ["m"]}, "ephemeral": {"volumeClaimTemplate": {
        "spec": {"resources": {"requests": {"storage": "1500m"}}}}}}]},
     ['spec.volumes[0].ephemeral.volumeClaimTemplate.spec.resources.requests[storage]: fractional byte value "1500m" is invalid, '
      "must be an integer", "spec.volumes[0].cephfs: deprecated in v1.28, non-functional in v1.31+"]),
]


@pytest.mark.parametrize(("spec", "texts"), CASES)
def test_doubtful_values_are_told_of(spec: dict[str, Any], texts: list[str]) -> None:
    assert list(kind_of(PODS).warnings(pod(spec), None)) == texts


def test_an_update_is_not_warned_about() -> None:
    doubtful = pod({"imagePullSecrets": [{"name": ""}]})
    assert list(kind_of(PODS).warnings(doubtful, doubtful)) == []


@pytest.mark.parametrize(("profile", "told"), [(None, True), ({"type": "RuntimeDefault"}, True), ({"type": "Unconfined"}, False)])
def test_the_old_profile_of_a_template_is_told_of_unless_it_is_the_pods_own(profile: dict[str, Any] | None, told: bool) -> None:
    key = "container.apparmor.security.beta.kubernetes.io/c"
    made = pod({"securityContext": {"appArmorProfile": profile}, "containers": [{"name": "c", "image": "x"}]})
    template = PodTemplateSpec(metadata=ObjectMeta(annotations={key: "unconfined"}), spec=made.spec)
    words = f'spec.template.metadata.annotations[{key}]: deprecated since v1.30; use the "appArmorProfile" field instead'
    assert pod_spec_warnings(template, "spec.template") == ([words] if told else [])


PORT = st.fixed_dictionaries({"containerPort": st.sampled_from((80, 81)), "hostPort": st.sampled_from((0, 8080, 8081)),
                              "hostIP": st.sampled_from(("", "10.0.0.1", "10.0.0.2")), "protocol": st.just("TCP")})


def compared(ports: list[dict[str, Any]]) -> list[str]:
    """Each port with each before it, as upstream does."""
    told = []
    for index, one in enumerate(ports):
        for before, other in enumerate(ports[:index]):
            if one["containerPort"] != other["containerPort"]:
                continue
            same_port, same_ip = one["hostPort"] == other["hostPort"], one["hostIP"] == other["hostIP"]
            word = ("duplicate" if same_port and same_ip else "overlapping" if not (one["hostPort"] and other["hostPort"])
                    else "dangerously ambiguous" if same_port and not (one["hostIP"] and other["hostIP"]) else "")
            if word:
                told.append(f"spec.containers[0].ports[{index}]: {word} port definition with spec.containers[0].ports[{before}]")
    return told


@given(st.lists(PORT, max_size=8))
def test_ports_that_collide_are_told_of_as_if_all_were_compared(ports: list[dict[str, Any]]) -> None:
    warned = kind_of(PODS).warnings(pod({"containers": [{"name": "c", "image": "x", "ports": ports}]}), None)
    assert [text for text in warned if " port definition with " in text] == compared(ports)
