"""Places pods on nodes: the cluster as numpy columns (`snapshot`), plugins that answer for all nodes at once, one pure
cycle, a queue with back-off, and a binder that never binds twice.
"""
