"""What CronJobs do at a moment, as transcripts on `decide`.

    cron SCHEDULE policy=Forbid deadline=60 zone=Asia/Tokyo last=TIME made=TIME successful=3 failed=1 suspended leaving before=TZ=Asia/Tokyo
    jobs: one a line, `NAME STATE`; STATE one of running, complete, failed, forgotten (running, not in the status), strange (another's, of that name),
          missing (in the status only); a second word is when it began
    at TIME: what is deleted, made and told, and what the status says; the next look sees that status

Times are of the first of January 2026, or whole.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from sampan.api.batch.v1 import CronJob, Job, JobCondition
from sampan.api.core.v1 import ObjectReference
from sampan.api.scalars import Time
from sampan.controllers.cronjob.decide import decide, surplus
from sampan.testing.datadriven import Block, run, transcripts


def moment(text: str) -> Time:
    return Time.parse(text if "T" in text else f"2026-01-01T{text}Z")


def a_job(name: str, state: str, began: str) -> Job:
    job = Job()
    job.metadata.name = job.metadata.uid = name
    if state in ("complete", "failed"):
        job.status.conditions = [JobCondition(type=state.title(), status="True")]
        job.status.completionTime = moment("01:00:00") if state == "complete" else None
    job.status.startTime = moment(began) if began else None
    return job


class Play:
    def __init__(self) -> None:
        self.cron_job, self.jobs, self.there = CronJob(), list[Job](), list[str]()

    def handle(self, block: Block) -> str:
        return str(getattr(self, block.name)(block) or "ok")

    def cron(self, block: Block) -> None:
        self.__init__()  # type: ignore[misc]
        made = self.cron_job
        made.metadata.name, made.metadata.namespace, made.metadata.uid = "c", "default", "c"
        made.metadata.creationTimestamp = moment(block.get("made", "00:00:00"))
        made.metadata.deletionTimestamp = moment("00:00:00") if block.flag("leaving") else None
        spec = made.spec
        spec.schedule, spec.concurrencyPolicy, spec.suspend = block.words[0], block.get("policy", "Allow"), block.flag("suspended")
        spec.schedule = f"{block.get('before')} {spec.schedule}" if "before" in block.args else spec.schedule
        spec.timeZone = block.get("zone") or None
        spec.startingDeadlineSeconds = block.number("deadline") if "deadline" in block.args else None
        spec.successfulJobsHistoryLimit, spec.failedJobsHistoryLimit = block.number("successful", 3), block.number("failed", 1)
        made.status.lastScheduleTime = moment(block.get("last")) if "last" in block.args else None

    def given(self, block: Block) -> None:
        self.jobs, self.there = [], []
        for line in block.input.splitlines():
            name, state, *began = line.split()
            if state in ("running", "missing", "complete", "failed", "strange") and all(one.name != name for one in self.cron_job.status.active):
                self.cron_job.status.active.append(ObjectReference(kind="Job", name=name, uid=name))
            if state not in ("missing", "strange"):
                self.jobs.append(a_job(name, state, began[0] if began else ""))
            if state != "missing":
                self.there.append(name)

    def at(self, block: Block) -> str:
        old = surplus(self.cron_job, self.jobs)
        decision = decide(self.cron_job, self.jobs, self.there, datetime.fromisoformat(moment(block.words[0])), cleaned={one.uid for one in old})
        lines = [f"delete {one.name} {one.propagation}" for one in [*old, *decision.deletes]]
        status = decision.status
        if decision.job is not None:
            meta = decision.job.metadata
            lines.append(f"create {meta.name} {meta.annotations['batch.kubernetes.io/cronjob-scheduled-timestamp']}")
            meta.uid = meta.name
            status = decision.started(decision.job)
            self.jobs.append(decision.job)
            self.there.append(meta.name)
        lines += [f"event {one.kind} {one.reason}: {one.message}" for one in decision.events]
        if decision.requeue_after_seconds is not None:
            lines.append(f"again in {decision.requeue_after_seconds:g} s")
        lines.append(f"active={','.join(one.name for one in status.active)} last={status.lastScheduleTime} successful={status.lastSuccessfulTime}")
        self.cron_job.status = status
        return "\n".join(lines)


@pytest.mark.parametrize("path", transcripts(Path(__file__).parent / "decisions"), ids=lambda path: path.stem)
def test_transcript(path: Path) -> None:
    run(path, Play().handle)
