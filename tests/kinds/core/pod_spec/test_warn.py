"""Warnings about pods."""

from __future__ import annotations

from typing import Any

import pytest

from kinds.core.making import pod
from sampan.api.resources import PODS
from sampan.kinds.all import kind_of

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
]


@pytest.mark.parametrize(("spec", "texts"), CASES)
def test_doubtful_values_are_told_of(spec: dict[str, Any], texts: list[str]) -> None:
    assert list(kind_of(PODS).warnings(pod(spec), None)) == texts


def test_an_update_is_not_warned_about() -> None:
    doubtful = pod({"imagePullSecrets": [{"name": ""}]})
    assert list(kind_of(PODS).warnings(doubtful, doubtful)) == []
