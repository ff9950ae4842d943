"""Pods of one template share the text by which what is found about their specs is known."""

from __future__ import annotations

from typing import Any

import pytest

from kinds.core.making import pod
from sampan.api.core.v1 import Pod
from sampan.api.resources import PODS
from sampan.kinds.all import kind_of
from sampan.kinds.core.pod_spec import alike

PROJECTED = {"sources": [{"serviceAccountToken": {"path": "token"}}]}


def of_template(end: str, **more: Any) -> Pod:
    """A pod with its token's volume as admission makes it."""
    name = f"kube-api-access-{end}"
    mounts = [{"name": name, "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount", "readOnly": True}]
    return pod({"containers": [{"name": "c", "image": "nginx:1.27", "volumeMounts": mounts} | more.pop("container", {})],
                "volumes": [{"name": name, "projected": PROJECTED}]} | more)


def said(one: Pod) -> tuple[list[str], list[str]]:
    found, warned = kind_of(PODS).create_findings(one)
    return [str(error) for error in found], list(warned)


def test_pods_of_one_template_share_their_text() -> None:
    assert alike.text_of(of_template("abcde")) == alike.text_of(of_template("z9x2c")) != b""


@pytest.mark.parametrize("more", [
    {"container": {"args": ["--config=/x/kube-api-access-abcde"]}},
    {"container": {"name": "d"}},
    {"restartPolicy": "Never"},
])
def test_pods_that_differ_otherwise_do_not(more: dict[str, Any]) -> None:
    assert alike.text_of(of_template("abcde", **more)) != alike.text_of(of_template("z9x2c"))


def test_a_name_within_another_text_stays_what_it_is() -> None:
    # given two pods with the same text beside the volume, which is the volume's name in one of them
    one, other = (of_template(end, container={"args": ["kube-api-access-abcde!"]}) for end in ("abcde", "z9x2c"))
    # then nothing is thought to be the same about them
    assert alike.text_of(one) != alike.text_of(other)


@pytest.mark.parametrize("made", [
    pod({"volumes": [{"name": "v", "ephemeral": {"volumeClaimTemplate": {"spec": {}}}}]}),
    pod(annotations={"kubernetes.io/config.mirror": "x"}),
])
def test_where_more_than_the_spec_counts_there_is_no_text(made: Pod) -> None:
    assert alike.text_of(made) == b""


@pytest.mark.parametrize(("spec", "finding"), [
    ({"containers": [{"name": "C", "image": "nginx:1.27"}]}, "spec.containers[0].name"),
    ({"volumes": [{"name": "kube-api-access-z9x2c", "emptyDir": {}}] * 2}, "spec.volumes[1].name"),
    ({"volumes": [{"name": "kube-api-access-Z9X2C", "emptyDir": {}}]}, "spec.volumes[0].name"),
    ({"containers": [{"name": "c", "image": "x", "volumeMounts": [{"name": "kube-api-access-z9x2c", "mountPath": "/a"}]}],
      "volumes": [{"name": "kube-api-access-abcde", "emptyDir": {}}]}, "spec.containers[0].volumeMounts[0].name"),
])
def test_what_is_wrong_is_told_although_pods_like_it_were_good(spec: dict[str, Any], finding: str) -> None:
    # given pods that passed
    for _ in range(2):
        assert said(of_template("abcde")) == ([], [])
        assert said(pod({"volumes": [{"name": "kube-api-access-abcde", "emptyDir": {}}]})) == ([], [])
    # when another comes that is not good, twice
    first, second = said(pod(spec)), said(pod(spec))
    # then both times it is said
    assert first == second
    assert first[0][0].startswith(finding)


def test_what_is_doubtful_is_told_each_time() -> None:
    doubtful = {"nodeSelector": {"beta.kubernetes.io/os": "linux"}}
    assert said(pod(doubtful))[1] == said(pod(doubtful))[1] != []


def test_annotations_are_told_of_although_the_spec_is_known() -> None:
    # given a pod whose spec passed
    assert said(pod()) == ([], [])
    # when one with the same spec has an annotation with a meaning of old
    told = said(pod(annotations={"scheduler.alpha.kubernetes.io/critical-pod": ""}))[1]
    # then it is told of
    assert told == ['metadata.annotations[scheduler.alpha.kubernetes.io/critical-pod]: non-functional in v1.16+; '
                    'use the "priorityClassName" field instead']
