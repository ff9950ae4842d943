"""Kinds of discovery.k8s.io."""

from sampan.kinds.discovery import endpoint_slice

KINDS = (endpoint_slice.KIND,)
