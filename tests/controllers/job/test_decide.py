"""What Jobs do at a moment, as transcripts on the pure part: `look`, `manage`, `track`.

    job                   the spec below, as YAML; the status begins empty
    status                merge the YAML below into the status
    pods                  what the cache has, one a line: `NAME STATE key=value …`; STATE one of pending, running, succeeded, failed, leaving
                          (`index=`, `failures=`, `ignored=`, `code=`, `ended=SECONDS`, `restarts=`, `condition=`, `made=SECONDS`, `cost=`, `unready=SECONDS` instead of a container's end,
                          `counted`: its finalizer is gone)
    at SECONDS            the time of day: so many seconds after the Job began; back, too
    look                  what is counted, judged, and planned for pods
    track                 what is written down then (kept for the next look), as if all that was planned had come about;
                          `kept`: as if no deletion had

What is remembered between looks (failures and their back-off) goes from look to look; `crash` forgets it.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from controllers.plans import render
from sampan.api import codec
from sampan.api.batch.v1 import Job
from sampan.api.core.v1 import Pod
from sampan.api.scalars import Time
from sampan.control.pods import is_ready
from sampan.controllers.job.decide import Look, complete, is_complete, look, manage
from sampan.controllers.job.pods import INDEX, INDEX_FAILURES, INDEX_IGNORED_FAILURES, Record
from sampan.controllers.job.tracking import After, track
from sampan.kinds.batch import indexes
from sampan.kinds.batch.job import TRACKING_FINALIZER
from sampan.kinds.plan import Create, Delete, Plan, Update
from sampan.testing.datadriven import Block, run, transcripts

START = datetime(2026, 1, 1, 12, tzinfo=UTC)
PHASES = {"pending": "Pending", "running": "Running", "succeeded": "Succeeded", "failed": "Failed", "leaving": "Running"}
SHOWN = ("active", "ready", "terminating", "succeeded", "failed", "completedIndexes", "failedIndexes")


def moment(seconds: float) -> Time:
    return Time.of(START + timedelta(seconds=seconds))


def a_pod(line: str) -> Pod:
    name, state, *rest = line.split()
    given = {key: value for key, _, value in (one.partition("=") for one in rest)}
    keys = {"index": INDEX, "failures": INDEX_FAILURES, "ignored": INDEX_IGNORED_FAILURES}
    meta: dict[str, Any] = {"name": name, "namespace": "default", "uid": name, "resourceVersion": "1", "creationTimestamp": moment(float(given.get("made", "0"))),
                            "annotations": {keys[key]: value for key, value in given.items() if key in keys},
                            "finalizers": [] if "counted" in given else [TRACKING_FINALIZER]}
    if "cost" in given:
        meta["annotations"]["controller.kubernetes.io/pod-deletion-cost"] = given["cost"]
    if state == "leaving":
        meta |= {"deletionTimestamp": moment(float(given.get("ended", "0"))), "deletionGracePeriodSeconds": 0}
    status: dict[str, Any] = {"phase": PHASES[state]}
    if state in ("succeeded", "failed"):
        code = int(given.get("code", "1" if state == "failed" else "0"))
        ended = {"terminated": {"exitCode": code, "finishedAt": moment(float(given.get("ended", "0")))}}
        status["containerStatuses"] = [{"name": "c", "image": "i", "imageID": "", "ready": False, "restartCount": 0, "state": ended}]
    elif "restarts" in given:
        status["containerStatuses"] = [{"name": "c", "image": "i", "imageID": "", "ready": False, "restartCount": int(given["restarts"])}]
    if "unready" in given:
        del status["containerStatuses"]
        status["conditions"] = [{"type": "Ready", "status": "False", "lastTransitionTime": moment(float(given["unready"]))}]
    if "condition" in given:
        status["conditions"] = [{"type": given["condition"], "status": "True"}]
    return codec.convert(Pod, {"metadata": meta, "status": status})


class Play:
    def __init__(self) -> None:
        self.job, self.pods, self.now = Job(), list[Pod](), START
        self.record, self.state, self.plan = Record(), Look(Job(), (), START, Record()), Plan()

    def handle(self, block: Block) -> str:
        return str(getattr(self, block.name)(block) or "ok")

    def job_(self, text: str) -> None:
        template = {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}}
        spec = {"parallelism": 1, "backoffLimit": 6, "template": template, "completionMode": "NonIndexed", **(yaml.safe_load(text) or {})}
        meta = {"name": "j", "namespace": "default", "uid": "j"}
        self.job = codec.convert(Job, {"metadata": meta, "spec": spec, "status": {"startTime": moment(0)}})
        self.record, self.pods, self.now = Record(), [], START

    def status(self, block: Block) -> None:
        self.job.status = codec.convert(type(self.job.status), codec.to_builtins(self.job.status) | yaml.safe_load(block.input))

    def pods_(self, text: str) -> None:
        self.pods = [a_pod(line) for line in text.splitlines()]

    def at(self, block: Block) -> None:
        self.now = START + timedelta(seconds=float(block.words[0]))

    def crash(self, _: Block) -> None:
        self.record = Record()

    def look(self, block: Block) -> str:
        self.state = state = look(self.job, self.pods, self.record, self.now)
        self.record = state.record
        self.plan = manage(state)
        counts = f"active={len(state.active)} succeeded={state.succeeded} failed={state.failed}"
        if state.failed_indexes is not None:
            counts += f" failedIndexes={indexes.render(state.failed_indexes)}"
        made = [f"  {one.object.metadata.generateName}* {' '.join(f'{key}={value}' for key, value in sorted(one.object.metadata.annotations.items()))}"
                for one in self.plan.writes if isinstance(one, Create) and one.object.metadata.annotations]
        verdict = [f"{state.verdict.type} {state.verdict.reason}: {state.verdict.message}"] if state.verdict and state.is_new_verdict else []
        return "\n".join([counts, *verdict, render(self.plan), *made])

    def track(self, block: Block) -> str:
        made = sum(isinstance(one, Create) for one in self.plan.writes)
        gone = [one.name for one in self.plan.writes if isinstance(one, Delete) and "kept" not in block.words]
        active = len(self.state.active) + made - len(gone)
        if self.state.verdict is None and is_complete(self.state, active):
            complete(self.state)
        ready = sum(is_ready(pod) for pod in self.state.active if pod.metadata.name not in gone)
        plan, free = track(self.state, After(active, ready, self.state.terminating + len(gone), managed=True))
        for write in plan.writes:
            if isinstance(write, Update):
                self.job = write.object
        status = codec.to_builtins(self.job.status)
        shown = " ".join(f"{key}={status[key]}" for key in SHOWN if status.get(key) not in (None, ""))
        left = self.job.status.uncountedTerminatedPods
        uncounted = [f"uncounted succeeded={','.join(left.succeeded)} failed={','.join(left.failed)}"] if left and (left.succeeded or left.failed) else []
        conditions = [f"{one.type}={one.status} {one.reason}" for one in self.job.status.conditions]
        return "\n".join([render(plan), *(f"untrack {pod.metadata.name}" for pod in free), shown, *uncounted, *conditions])


def played(block: Block, play: Play) -> str:
    if block.name in ("job", "pods"):
        getattr(play, f"{block.name}_")(block.input)
        return "ok"
    return play.handle(block)


@pytest.mark.parametrize("path", transcripts(Path(__file__).parent / "decisions"), ids=lambda path: path.stem)
def test_transcript(path: Path) -> None:
    play = Play()
    run(path, lambda block: played(block, play))


def test_a_job_of_as_many_indexes_as_there_are_numbers_begins_at_once() -> None:
    # given
    play = Play()
    play.job_("{completionMode: Indexed, completions: 2147483647, parallelism: 3, successPolicy: {rules: [{succeededIndexes: 0-2147483646}]}}")
    play.pods_("a succeeded index=0\nb running index=2")
    # then
    assert play.handle(Block("look", 1)).splitlines()[0] == "active=1 succeeded=1 failed=0"
    assert [one.object.metadata.annotations[INDEX] for one in play.plan.writes if isinstance(one, Create)] == ["1", "3"]


@pytest.mark.parametrize("text", ["²", "-1", "9" * 5000])
def test_a_pod_without_a_number_for_an_index_goes(text: str) -> None:
    # given
    play = Play()
    play.job_("{completionMode: Indexed, completions: 1}")
    play.pods_(f"a running index={text}")
    # when
    play.handle(Block("look", 1))
    # then it goes uncounted; the next look makes one in its place
    assert [type(one).__name__ for one in play.plan.writes] == ["Patch", "Delete"]
