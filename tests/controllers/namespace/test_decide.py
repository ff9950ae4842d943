"""What a namespace that is being deleted says of itself, as transcripts.

    remains: what emptying found, one a line: `objects RESOURCE NUMBER`, `finalizer NAME NUMBER`, `error TEXT`, `discovery TEXT`, `pods-first`;
             `finalizers=` of the namespace (`kubernetes`, unless said otherwise), `at=` the hour of the look

The output: which write, and the conditions with the hour of their last transition. The next look sees them.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from controllers.plans import render
from sampan.api.core.v1 import Namespace
from sampan.api.meta.v1 import ObjectMeta
from sampan.controllers.namespace.decide import Remains, decide
from sampan.kinds.plan import Update
from sampan.testing.datadriven import Block, run, transcripts


class Play:
    def __init__(self) -> None:
        self.namespace = Namespace(metadata=ObjectMeta(name="shop"))

    def handle(self, block: Block) -> str:
        if block.name == "new":
            self.__init__()  # type: ignore[misc]
            return "ok"
        remains = Remains(pods_first=False)
        for line in block.input.splitlines():
            what, _, rest = line.partition(" ")
            if what == "objects":
                remains.objects[rest.split()[0]] = int(rest.split()[1])
            elif what == "finalizer":
                remains.finalizers[rest.split()[0]] = int(rest.split()[1])
            elif what == "error":
                remains.errors.append(rest)
            elif what == "discovery":
                remains.discovery_error = rest
            else:
                remains.pods_first = True
        self.namespace.spec.finalizers = block.get("finalizers", "kubernetes").split(",")
        plan = decide(self.namespace, remains, datetime(2026, 1, 1, block.number("at"), tzinfo=UTC))
        for write in plan.writes:
            assert isinstance(write, Update)
            self.namespace = write.object
        shown = [f"{one.type.removeprefix('Namespace')} {one.status} {one.reason} {str(one.lastTransitionTime)[11:13]} h: {one.message}"
                 for one in self.namespace.status.conditions]
        return "\n".join([render(plan), f"finalizers={','.join(self.namespace.spec.finalizers)}", *shown])


@pytest.mark.parametrize("path", transcripts(Path(__file__).parent / "decisions"), ids=lambda path: path.stem)
def test_transcript(path: Path) -> None:
    run(path, Play().handle)
