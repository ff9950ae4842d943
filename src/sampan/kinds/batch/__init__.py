"""Kinds of batch."""

from sampan.kinds.batch import cron_job, job

KINDS = (job.KIND, cron_job.KIND)
