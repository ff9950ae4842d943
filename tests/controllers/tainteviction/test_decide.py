"""When pods leave tainted nodes, as transcripts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sampan.api.core.v1 import Pod, Taint, Toleration
from sampan.controllers.tainteviction.decide import execute_taints, step
from sampan.testing.datadriven import Block, run, transcripts

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def play(block: Block) -> str:
    """`leave taints=key[=value]:effect,… tolerates=key[=value][@seconds],… planned=IN SECONDS gone`; `gone`: the node is no more."""
    taints = []
    for text in filter(None, block.get("taints").split(",")):
        name, _, effect = text.partition(":")
        key, _, value = name.partition("=")
        taints.append(Taint(key=key, value=value, effect=effect))
    pod = Pod()
    for text in filter(None, block.get("tolerates").split(",")):
        name, _, seconds = text.partition("@")
        key, equals, value = name.partition("=")
        pod.spec.tolerations.append(Toleration(key=key.strip("*"), operator="Equal" if equals else "Exists", value=value,
                                               tolerationSeconds=int(seconds) if seconds else None))
    due = NOW + timedelta(seconds=block.number("planned")) if "planned" in block.args else None
    taken = step(pod, None if block.flag("gone") else execute_taints(taints), due, NOW)
    said = "goes" if taken.evict else "stays" if taken.due is None else f"in {(taken.due - NOW).total_seconds():g} s"
    return f"cancelled, {said}" if taken.cancelled else said


@pytest.mark.parametrize("path", transcripts(Path(__file__).parent / "decisions"), ids=lambda path: path.stem)
def test_transcript(path: Path) -> None:
    run(path, play)
