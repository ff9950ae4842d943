"""Pods that do not tolerate a NoExecute taint of their node: deleted, at once or after a while."""
