"""Pods whose devices got a taint that their claims do not tolerate: deleted, at once or after a while."""
