"""Kinds of node.k8s.io."""

from sampan.kinds.node import runtime_class

KINDS = (runtime_class.KIND,)
