"""Times that the server adds to slices."""

from __future__ import annotations

from datetime import UTC, datetime

from sampan.api import codec
from sampan.api.resource.v1 import ResourceSlice
from sampan.kinds.resource.resource_slice import touch


def test_a_taint_without_a_time_is_one_since_now() -> None:
    # given
    taints = [{"key": "a", "effect": "NoExecute"}, {"key": "b", "effect": "NoExecute", "timeAdded": "2020-01-01T00:00:00Z"}]
    slice_ = codec.convert(ResourceSlice, {"spec": {"devices": [{"name": "d", "taints": taints}]}})
    # when
    touch(slice_, datetime(2026, 1, 1, tzinfo=UTC))
    # then
    assert [one.timeAdded for one in slice_.spec.devices[0].taints] == ["2026-01-01T00:00:00Z", "2020-01-01T00:00:00Z"]
