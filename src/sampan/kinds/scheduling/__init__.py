"""Kinds of scheduling.k8s.io."""

from sampan.kinds.scheduling import priority_class

KINDS = (priority_class.KIND,)
