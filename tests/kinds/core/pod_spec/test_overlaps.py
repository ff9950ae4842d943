"""Files of volumes that hide one another."""

from __future__ import annotations

from typing import Any

import pytest

from kinds.core.making import pod
from sampan.kinds.core.pod_spec.overlaps import overlap_warnings

CONFIG = {"name": "c", "items": [{"key": "a", "path": "x"}, {"key": "b", "path": "x/y/"}]}
TOKEN = {"serviceAccountToken": {"path": "token", "expirationSeconds": 600}}
CASES: list[tuple[dict[str, Any], list[str]]] = [
    ({"configMap": CONFIG}, ['volume "v" (ConfigMap "c"): overlapping paths: "x/y" with "x"']),
    ({"secret": {"secretName": "s", "items": [{"key": "a", "path": "x"}, {"key": "b", "path": "x"}]}},
     ['volume "v" (Secret "s"): overlapping paths: "x" with "x"']),
    ({"secret": {"secretName": "s", "items": [{"key": "a", "path": "x"}, {"key": "b", "path": "xy"}]}}, []),
    ({"downwardAPI": {"items": [{"path": name, "fieldRef": {"fieldPath": "metadata.name"}} for name in ("a/b", "a")]}},
     ['volume "v" (DownwardAPI): overlapping paths: "a" with "a/b"']),
    ({"projected": {"sources": [TOKEN, {"configMap": {"name": "c", "items": [{"key": "k", "path": "token/x"}]}}]}},
     ['volume "v" (Projected): overlapping paths: "token/x" (ConfigMap "c") with "token" (ServiceAccountToken)']),
    ({"projected": {"sources": [{}, {"configMap": {"name": "c"}}, TOKEN]}}, ['volume "v" (Projected) has no sources provided']),
]


@pytest.mark.parametrize(("source", "texts"), CASES)
def test_files_that_hide_one_another_are_told_of(source: dict[str, Any], texts: list[str]) -> None:
    assert list(overlap_warnings(pod({"volumes": [{"name": "v"} | source]}).spec)) == texts
