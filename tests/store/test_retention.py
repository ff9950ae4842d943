"""When history may be forgotten."""

from __future__ import annotations

from sampan.store.history import Limits
from sampan.store.retention import Retention


def test_by_age() -> None:
    retention = Retention(Limits(seconds=3600), 0.0, 1)
    told = {at: retention.wrote(float(at), at, 1, 10) for at in range(60, 3 * 3600, 60)}
    cuts = {at: revision for at, revision in told.items() if revision is not None}
    assert min(cuts) >= 3600
    assert all(3600 <= at - revision <= 2 * 3600 for at, revision in cuts.items() if revision > 1)
    assert len(cuts) <= 12, "seldom: each one writes to the disk"


def test_by_bytes_and_by_number() -> None:
    for limits, size in ((Limits(bytes=1000), 10), (Limits(changes=100), 0)):
        retention = Retention(limits, 0.0, 1)
        cuts = [cut for revision in range(2, 500) if (cut := retention.wrote(0.0, revision, 1, size))]
        assert cuts
        assert 500 - cuts[-1] <= 151
        assert cuts == sorted(cuts)
