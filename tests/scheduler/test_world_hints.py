"""A pod refused for its volumes or devices is tried again when one of the many things they depend on changed so that it fits."""

from __future__ import annotations

import random
from typing import Any

import pytest
from tests.scheduler.small import ZONE, cluster, node, pod
from tests.scheduler.test_hints import attempt, helps
from tests.scheduler.worlds import WANTED, changed, crowd

from sampan.control.key import Key
from sampan.scheduler.cycle import Placed, Refused
from sampan.scheduler.plugins.base import Change


@pytest.mark.parametrize("what", WANTED)
def test_whatever_makes_a_pod_fit_is_told_of(what: str) -> None:
    wants, makers = WANTED[what]
    helped: set[str] = set()
    for seed in range(400):
        # given a world that has grown by chance, and a pod that fits nowhere in it
        rng = random.Random(seed)
        snapshot = cluster(node("a", labels={ZONE: "1"}), node("b", labels={ZONE: "2"}))
        if what == "volumes" and seed % 2:
            crowd(rng, snapshot)
        for _ in range(rng.randint(0, 12 if seed % 3 else 0)):
            changed(rng, snapshot, makers)
        wanted = wants(rng)
        before = attempt(snapshot, wanted)
        # when one thing after the other changes
        for _ in range(25):
            if isinstance(before, Placed):
                break
            change = changed(rng, snapshot, makers)
            told = helps(before, change, wanted, snapshot)
            after = attempt(snapshot, wanted)
            # then whatever makes it fit is told of
            if isinstance(after, Placed):
                assert told, (seed, before.message, change)
                helped.add(change.what)
            before = after
    # and the test has seen every kind of change make up for a refusal
    everything = {"volumes": {"node", "volume", "volume claim", "storage class", "csi node", "csi driver", "storage capacity", "attachment", "pod gone"},
                  "devices": {"node", "resource claim", "resource slice", "device class"},
                  "extended": {"node", "resource claim", "resource slice", "device class"}}
    assert helped >= everything[what]


USELESS: list[tuple[str, Any, Change]] = [
    ("another pod's claim", pod("p", volumes=[{"name": "c0", "persistentVolumeClaim": {"claimName": "c0"}}]), Change("volume claim", key=Key("default", "c9"))),
    ("a claim of another namespace", pod("p", volumes=[{"name": "c0", "persistentVolumeClaim": {"claimName": "c0"}}]),
     Change("volume claim", key=Key("other", "c0"))),
    ("a device class", pod("p", "99"), Change("device class", key=Key("", "gpu"))),
    ("a volume", pod("p", "99"), Change("volume", key=Key("", "v0"))),
]


@pytest.mark.parametrize(("wanted", "change"), [one[1:] for one in USELESS], ids=[one[0] for one in USELESS])
def test_what_is_about_something_else_wakes_nobody(wanted: Any, change: Change) -> None:
    snapshot = cluster(node("a"))
    before = attempt(snapshot, wanted)
    assert isinstance(before, Refused)
    assert not helps(before, change, wanted, snapshot)
