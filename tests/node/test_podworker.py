"""What makes a pod's worker look again. Its work is told in `test_agent`."""

from __future__ import annotations

from typing import Any

import pytest

from sampan.api import codec
from sampan.api.core.v1 import Pod
from sampan.node.status import is_echo

POD: dict[str, Any] = {
    "metadata": {"name": "p", "uid": "u", "labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]},
    "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}}


def pod(**more: dict[str, Any]) -> Pod:
    return codec.convert(Pod, {part: {**POD[part], **more.get(part, {})} for part in POD})


def test_the_nodes_own_status_coming_back_is_an_echo() -> None:
    before = pod(status={"phase": "Pending"})
    assert is_echo(before, pod(metadata={"resourceVersion": "7", "managedFields": [{"manager": "kubelet"}]}), pod().status)


@pytest.mark.parametrize("change", [
    {"status": {"phase": "Pending"}},
    {"status": {"conditions": [{"type": "Ready", "status": "False"}]}},
    {"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}},
    {"metadata": {"deletionGracePeriodSeconds": 3}},
    {"metadata": {"labels": {"a": "c"}}},
    {"metadata": {"annotations": {"a": "c"}}},
    {"metadata": {"uid": "another"}},
    {"spec": {"activeDeadlineSeconds": 9}},
])
def test_what_others_changed_is_none(change: dict[str, Any]) -> None:
    assert not is_echo(pod(), pod(**change), pod().status)
