"""Defaults of pod specs."""

from __future__ import annotations

import pytest

from kinds.core.making import pod
from sampan.api import codec
from sampan.api.core.v1 import Lifecycle, PodTemplateSpec
from sampan.kinds.core.pod_spec import default_pod_template
from sampan.kinds.core.pod_spec.defaults import pull_policy


@pytest.mark.parametrize(("image", "policy"), [
    ("nginx", "Always"), ("nginx:latest", "Always"), ("nginx:1.27", "IfNotPresent"), ("reg.example.com:5000/x", "Always"),
    ("reg.example.com:5000/x:2", "IfNotPresent"), (f"nginx@sha256:{'0' * 64}", "IfNotPresent"), ("", "IfNotPresent"),
    ("a" * 247, "Always"), ("a" * 248, "IfNotPresent"), ("a.b/" + "a" * 255, "Always"), ("a.b/" + "a" * 256, "IfNotPresent"),
    ("1/" + "a" * 253, "Always"), ("1/" + "a" * 254, "IfNotPresent"), ("Bad Image", "IfNotPresent"), ("a//b", "IfNotPresent"), ("localhost/a/b", "Always"),
    ("a" * 64, "IfNotPresent"), ("g" * 64, "Always"),
])
def test_only_the_latest_image_is_always_pulled(image: str, policy: str) -> None:
    assert pull_policy(image) == policy


def test_a_template_gets_what_pods_get_later_only_from_pods() -> None:
    template = codec.convert(PodTemplateSpec, {"spec": {"containers": [{"name": "c", "image": "x:1", "resources": {"limits": {"cpu": "1"}}}]}})
    default_pod_template(template)
    container = template.spec.containers[0]  # type: ignore[index]
    assert template.spec.enableServiceLinks is None
    assert container.resources.requests == {}
    assert (container.terminationMessagePath, container.terminationMessagePolicy) == ("/dev/termination-log", "File")


def test_a_pod_asks_for_its_limits_unless_it_says_otherwise() -> None:
    made = pod({"containers": [{"name": "c", "image": "x", "resources": {"limits": {"cpu": "0.0001", "memory": "1024Mi"},
                                                                         "requests": {"memory": "1"}}}]})
    resources = made.spec.containers[0].resources  # type: ignore[index]
    assert resources.requests == {"cpu": "1m", "memory": "1"}
    assert resources.limits == {"cpu": "1m", "memory": "1Gi"}


def test_ports_on_the_network_of_the_node_are_its_ports() -> None:
    made = pod({"hostNetwork": True, "containers": [{"name": "c", "image": "x", "ports": [{"containerPort": 80}]}]})
    assert made.spec.containers[0].ports[0].hostPort == 80  # type: ignore[index]


def test_requests_of_a_whole_pod_follow_its_containers_and_its_limits() -> None:
    made = pod({"resources": {"limits": {"cpu": "2", "memory": "1Gi"}},
                "containers": [{"name": "c", "image": "x", "resources": {"requests": {"cpu": "500m"}}}]})
    assert made.spec.resources is not None
    assert made.spec.resources.requests == {"cpu": "500m", "memory": "1Gi"}


def test_a_whole_pod_gets_no_limits_from_its_containers_but_those_of_huge_pages() -> None:
    limits = {"cpu": "2", "memory": "1Gi", "hugepages-2Mi": "2Mi"}
    made = pod({"resources": {"requests": {"cpu": "3"}}, "containers": [{"name": "c", "image": "x", "resources": {"limits": limits}}]})
    assert made.spec.resources is not None
    assert made.spec.resources.limits == {"hugepages-2Mi": "2Mi"}
    made = pod({"resources": {"requests": {"cpu": "3"}}, "containers": [{"name": "c", "image": "x", "resources": {"limits": {"cpu": "2"}}}]})
    assert made.spec.resources is not None
    assert (made.spec.resources.limits, made.spec.resources.requests) == ({}, {"cpu": "3"})


def test_a_lifecycle_of_a_stop_signal_alone_is_none() -> None:
    made = pod({"containers": [{"name": "c", "image": "x", "lifecycle": {"stopSignal": "SIGTERM"}},
                               {"name": "d", "image": "x", "lifecycle": {"stopSignal": "SIGTERM", "preStop": {"sleep": {"seconds": 1}}}},
                               {"name": "e", "image": "x", "lifecycle": {}}]})
    alone, more, empty = [one.lifecycle for one in made.spec.containers or ()]
    assert (alone, empty) == (None, Lifecycle())
    assert more is not None
    assert (more.stopSignal, more.preStop is not None) == (None, True)


def test_no_projected_sources_are_null() -> None:
    source = pod({"volumes": [{"name": "v", "projected": {"sources": []}}]}).spec.volumes[0].projected
    assert source is not None
    assert source.sources is None


def test_a_volume_without_a_source_is_an_empty_directory() -> None:
    assert pod({"volumes": [{"name": "v"}]}).spec.volumes[0].emptyDir is not None


def test_defaults_are_the_same_when_they_are_filled_twice() -> None:
    made = pod({"volumes": [{"name": "v", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}}, {"name": "w", "rbd": {}}]})
    before = codec.encode(made.spec)
    default_pod_template(PodTemplateSpec(spec=made.spec))
    assert codec.encode(made.spec) == before


def test_the_old_name_of_the_service_account_still_works() -> None:
    made = pod({"serviceAccountName": "", "serviceAccount": "old"})
    assert (made.spec.serviceAccountName, made.spec.serviceAccount) == ("old", "old")
