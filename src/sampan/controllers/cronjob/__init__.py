"""CronJobs: Jobs at their times."""
