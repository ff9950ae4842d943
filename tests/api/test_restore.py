"""Trees to objects as Go's unstructured converter makes them."""

from __future__ import annotations

from typing import Any

import pytest

from sampan.api import strict
from sampan.api.resources import DEPLOYMENTS
from sampan.api.restore import Restore

CASES: list[tuple[dict[str, Any], str]] = [
    ({"spec": 5}, "cannot restore struct from: int64"),
    ({"metadata": {"labels": [1]}}, "cannot restore map from slice"),
    ({"spec": {"template": {"spec": {"containers": {}}}}}, "cannot restore slice from map"),
    ({"spec": {"replicas": "x"}}, "unrecognized type: int32"),
    ({"spec": {"replicas": 1.5}}, "cannot convert float64 to int32"),
    ({"spec": {"paused": 1}}, "unrecognized type: bool"),
    ({"metadata": {"labels": {"a": 1}}}, "cannot convert int64 to string"),
    ({"metadata": {"labels": {"a": True}}}, "unrecognized type: string"),
    ({"metadata": {"creationTimestamp": "x"}}, 'parsing time "x" as "2006-01-02T15:04:05Z07:00": cannot parse "x" as "2006"'),
]


@pytest.mark.parametrize(("tree", "told"), CASES)
def test_a_wrong_type_is_told_in_the_converters_words(tree: dict[str, Any], told: str) -> None:
    with pytest.raises(strict.Undecodable) as caught:
        strict.convert(DEPLOYMENTS, tree, walk=Restore)
    assert str(caught.value) == told


def test_what_fits_is_converted_and_the_rest_named() -> None:
    found = strict.convert(DEPLOYMENTS, {"spec": {"replicas": 2, "odd": 1}}, walk=Restore)
    assert (found.object.spec.replicas, found.problems) == (2, ['unknown field "spec.odd"'])
