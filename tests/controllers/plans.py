"""Plans as text, for transcripts."""

from __future__ import annotations

from typing import Any

from sampan.api import codec
from sampan.kinds.plan import Create, Delete, Patch, Plan, Update, Write


def line(write: Write, **show: Any) -> str:
    """One write: what and about whom."""
    if isinstance(write, Create):
        meta = write.object.metadata
        return f"create {write.resource.plural} {meta.name or meta.generateName + '*'}"
    if isinstance(write, Update):
        sub = f"/{write.subresource}" if write.subresource else ""
        return f"update {write.resource.plural}{sub} {write.object.metadata.name}"
    if isinstance(write, Patch):
        return f"patch {write.resource.plural} {write.name} {codec.encode(write.patch).decode()}"
    assert isinstance(write, Delete)
    how = f" {write.propagation}" if write.propagation else ""
    return f"delete {write.resource.plural} {write.name}{how}"


def render(plan: Plan) -> str:
    """A plan: writes, events, when to look again."""
    lines = [line(write) for write in plan.writes]
    lines += [f"event {event.kind} {event.reason}: {event.message}" for event in plan.events]
    if plan.requeue_after_seconds is not None:
        lines.append(f"again in {plan.requeue_after_seconds:g} s")
    return "\n".join(lines) or "nothing"
