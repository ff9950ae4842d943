"""What a deletion does to an object: pure decisions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sampan.api.core.v1 import ConfigMap, Pod
from sampan.api.errors import Invalid
from sampan.api.meta.v1 import DeleteOptions, ObjectMeta
from sampan.api.resources import CONFIG_MAPS, EVENTS, JOBS, PODS
from sampan.api.scalars import Time
from sampan.apiserver.deletion import FOREGROUND, ORPHAN, Step, decide, gone_after_update, validate_options
from sampan.kinds.kind import Kind

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PLAIN: Kind[Any] = Kind(resource=CONFIG_MAPS)
GRACEFUL: Kind[Any] = Kind(resource=PODS, graceful_seconds=lambda pod, asked: 30 if asked is None else asked)


def step(obj: Any, kind: Kind[Any], **options: Any) -> Step:
    return decide(obj, obj.metadata, DeleteOptions(**options), kind, NOW).step


def test_what_nothing_holds_goes_at_once() -> None:
    assert step(ConfigMap(), PLAIN) is Step.NOW


def test_a_finalizer_keeps_the_object_and_marks_it() -> None:
    obj = ConfigMap(metadata=ObjectMeta(finalizers=["x/y"], generation=4))
    assert step(obj, PLAIN) is Step.MARK
    assert (obj.metadata.deletionTimestamp, obj.metadata.deletionGracePeriodSeconds, obj.metadata.generation) == (Time.of(NOW), 0, 5)


@pytest.mark.parametrize(("options", "finalizers"), [
    ({"propagationPolicy": "Foreground"}, [FOREGROUND]), ({"propagationPolicy": "Orphan"}, [ORPHAN]),
    ({"orphanDependents": True}, [ORPHAN]),
])
def test_propagation_leaves_work_for_the_garbage_collector(options: dict[str, Any], finalizers: list[str]) -> None:
    obj = ConfigMap()
    assert step(obj, PLAIN, **options) is Step.MARK
    assert obj.metadata.finalizers == finalizers


def test_a_kind_may_orphan_unless_it_is_told_otherwise_or_have_no_part_in_it() -> None:
    orphaning: Kind[Any] = Kind(resource=JOBS, dependents="orphan")
    for options, finalizers in (({}, [ORPHAN]), ({"propagationPolicy": "Foreground"}, [FOREGROUND]), ({"orphanDependents": False}, [])):
        obj = ConfigMap()
        step(obj, orphaning, **options)
        assert obj.metadata.finalizers == finalizers
    assert step(ConfigMap(), Kind(resource=EVENTS, dependents="keep"), propagationPolicy="Orphan") is Step.NOW


def test_a_period_that_would_be_over_is_a_second_and_a_negative_one_too() -> None:
    obj = Pod(metadata=ObjectMeta(deletionTimestamp=Time.of(NOW + timedelta(seconds=5)), deletionGracePeriodSeconds=30))
    assert step(obj, GRACEFUL, gracePeriodSeconds=10) is Step.MARK
    assert (obj.metadata.deletionTimestamp, obj.metadata.deletionGracePeriodSeconds) == (Time.of(NOW), 1)
    obj = Pod()
    assert step(obj, GRACEFUL, gracePeriodSeconds=-5) is Step.MARK
    assert obj.metadata.deletionGracePeriodSeconds == 1


def test_background_takes_the_collectors_finalizers_away() -> None:
    obj = ConfigMap(metadata=ObjectMeta(finalizers=[ORPHAN]))
    assert step(obj, PLAIN, propagationPolicy="Background") is Step.NOW


def test_a_pod_gets_its_grace_period() -> None:
    obj = Pod(metadata=ObjectMeta(generation=1))
    assert step(obj, GRACEFUL) is Step.MARK
    assert obj.metadata.deletionTimestamp == Time.of(NOW + timedelta(seconds=30))
    assert (obj.metadata.deletionGracePeriodSeconds, obj.metadata.generation) == (30, 2)


def test_a_grace_period_is_only_ever_shortened() -> None:
    obj = Pod()
    step(obj, GRACEFUL)
    assert step(obj, GRACEFUL, gracePeriodSeconds=50) is Step.PENDING
    assert step(obj, GRACEFUL, gracePeriodSeconds=5) is Step.MARK
    assert obj.metadata.deletionTimestamp == Time.of(NOW + timedelta(seconds=5))
    assert step(obj, GRACEFUL, gracePeriodSeconds=0) is Step.MARK_AND_GO


def test_an_update_that_takes_the_last_finalizer_lets_the_object_go() -> None:
    was = ObjectMeta(deletionTimestamp=Time.of(NOW), finalizers=["x/y"])
    assert gone_after_update(ObjectMeta(deletionTimestamp=Time.of(NOW)), was)
    assert not gone_after_update(ObjectMeta(deletionTimestamp=Time.of(NOW), deletionGracePeriodSeconds=30), was)
    assert not gone_after_update(ObjectMeta(), ObjectMeta(finalizers=["x/y"]))


def test_options_that_contradict_themselves_are_refused() -> None:
    with pytest.raises(Invalid, match="cannot be both set"):
        validate_options(DeleteOptions(orphanDependents=True, propagationPolicy="Orphan"))
    with pytest.raises(Invalid, match="Unsupported value"):
        validate_options(DeleteOptions(dryRun=["Some"]))
