"""When a finished Job goes. Pure. Source: kube-controller-manager `ttlafterfinished/ttlafterfinished_controller.go`."""

from __future__ import annotations

from datetime import datetime, timedelta

from sampan.api.batch.v1 import Job
from sampan.api.resources import JOBS
from sampan.kinds.batch.job import finished
from sampan.kinds.plan import Delete, Plan


def expires_in(job: Job, now: datetime) -> float | None:
    """Seconds until the Job's time is over (0: it is); None: it has not finished, has no such time, or is going already."""
    end, ttl = finished(job), job.spec.ttlSecondsAfterFinished
    if end is None or ttl is None or end.lastTransitionTime is None or job.metadata.deletionTimestamp is not None:
        return None
    return max(0.0, (end.lastTransitionTime.moment() + timedelta(seconds=ttl) - now).total_seconds())


def decide(job: Job, now: datetime) -> Plan:
    """Delete it with its pods, or wait."""
    left = expires_in(job, now)
    if left is None or left > 0:
        return Plan(requeue_after_seconds=left)
    return Plan((Delete(JOBS, job.metadata.namespace, job.metadata.name, job.metadata.uid, propagation="Foreground"),))
