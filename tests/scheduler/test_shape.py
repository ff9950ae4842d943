"""When two pods are one shape, and what shows without reading them."""

from __future__ import annotations

import random
from typing import Any

from tests.scheduler.small import pod
from tests.scheduler.test_plain import APPS, random_pod, random_wish

from sampan.api import codec
from sampan.api.core.v1 import Pod
from sampan.scheduler.shape import same_shape, shape_key


def changed(rng: random.Random, one: Pod) -> Pod:
    """The same pod with something else in it."""
    plain: dict[str, Any] = codec.loads(codec.encode(one))
    status, meta = plain.setdefault("status", {}), plain["metadata"]
    change = rng.randrange(9)
    if change == 0:
        meta["labels"] = {"app": rng.choice(APPS)}
    elif change == 1:
        meta["ownerReferences"] = [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": rng.choice(APPS), "uid": "u", "controller": rng.choice((True, False))}]
    elif change == 2:
        plain["spec"].update(random_wish(rng))
    elif change == 3:
        status["conditions"] = [{"type": rng.choice(("Ready", "PodResizePending")), "status": "True", "reason": rng.choice(("Deferred", "Infeasible"))}]
    elif change == 4:
        status["containerStatuses"] = [{"name": "main", "image": "x", "imageID": "", "ready": True, "restartCount": rng.randrange(2),
                                        "resources": {"requests": {"cpu": rng.choice(("1", "2"))}}}]
    elif change == 5:
        status["resources"] = {"requests": {"cpu": rng.choice(("1", "2"))}}
    elif change == 6:
        plain["spec"]["resourceClaims"] = [{"name": "r", "resourceClaimTemplateName": "t"}]
        status["resourceClaimStatuses"] = [{"name": "r", "resourceClaimName": rng.choice(("one", "two"))}]
    elif change == 7:
        plain["spec"]["resources"] = {"requests": {"cpu": "1"}}
    else:
        status["phase"] = rng.choice(("Pending", "Running"))
        meta["resourceVersion"] = str(rng.randrange(9))
    return codec.convert(Pod, plain)


def test_what_seems_the_same_is_the_same() -> None:
    told = set()
    for seed in range(40):
        # given a pod that changes and changes
        rng = random.Random(seed)
        one = random_pod(rng, "p")
        for _ in range(30):
            after = changed(rng, one)
            seems, is_same = same_shape(one, after), shape_key(one) == shape_key(after)
            # then one that seems to have its shape still has its key
            assert is_same or not seems, seed
            told.add((seems, is_same))
            one = after
    assert {(True, True), (False, False)} <= told


def test_a_word_about_how_a_pod_is_doing_does_not_change_its_shape() -> None:
    before = pod("p", "1")
    after = codec.clone(before)
    after.status.phase = "Running"
    after.metadata.resourceVersion = "2"
    assert same_shape(before, after)
