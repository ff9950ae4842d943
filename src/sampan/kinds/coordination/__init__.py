"""Kinds of coordination.k8s.io."""

from sampan.kinds.coordination import lease

KINDS = (lease.KIND,)
