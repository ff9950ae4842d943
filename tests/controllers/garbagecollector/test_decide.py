"""What becomes of one object, as transcripts on `decide`, `orphan` and `release`.

    object FINALIZERS… leaving
    owners and dependents, one a line: `owner NAME STATE block`; STATE one of solid, absent, waiting, unknown, misplaced;
                                       `dependent NAME block`, `waiting` if it deletes its own dependents in the foreground
    orphan / release FINALIZER: the other two ways of deletion
"""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest

from controllers.plans import render
from sampan.api.core.v1 import ConfigMap
from sampan.api.meta.v1 import ObjectMeta, OwnerReference
from sampan.api.resources import CONFIG_MAPS
from sampan.api.scalars import Time
from sampan.controllers.garbagecollector.decide import FOREGROUND, Dependent, State, decide, orphan, release
from sampan.kinds.plan import Delete
from sampan.testing.datadriven import Block, run, transcripts


def reference(name: str, *, block: bool) -> OwnerReference:
    return OwnerReference(apiVersion="v1", kind="ConfigMap", name=name, uid=name, blockOwnerDeletion=block or None)


def play(block: Block) -> str:
    meta = ObjectMeta(name="x", namespace="default", uid="x", resourceVersion="7", finalizers=[one for one in block.words if one != "leaving"])
    meta.deletionTimestamp = Time("2026-01-01T00:00:00Z") if block.flag("leaving") else None
    states: dict[str, State] = {}
    dependents = []
    for line in block.input.splitlines():
        what, name, *rest = line.split()
        if what == "owner":
            states[name] = cast("State", rest[0])
            meta.ownerReferences.append(reference(name, block="block" in rest))
            continue
        own = ObjectMeta(name=name, namespace="default", uid=name, resourceVersion="3",
                         ownerReferences=[reference("x", block="block" in rest), reference("y", block=False)])
        if "waiting" in rest:
            own.deletionTimestamp, own.finalizers = Time("2026-01-01T00:00:00Z"), [FOREGROUND]
        dependents.append(Dependent(CONFIG_MAPS, own))
    obj = ConfigMap(metadata=meta)
    if block.name == "orphan":
        return render(orphan(dependents, "x"))
    if block.name == "release":
        meta.finalizers = ["example.com/keep", block.words[0]]
        return render(release(CONFIG_MAPS, obj, block.words[0]))
    plan = decide(CONFIG_MAPS, obj, states, dependents)
    guards = [f"  if it is {one.uid} at {one.resource_version}" for one in plan.writes if isinstance(one, Delete)]
    return "\n".join([render(plan), *guards])


@pytest.mark.parametrize("path", transcripts(Path(__file__).parent / "decisions"), ids=lambda path: path.stem)
def test_transcript(path: Path) -> None:
    run(path, play)
