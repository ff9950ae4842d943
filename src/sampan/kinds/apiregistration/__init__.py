"""Kinds of apiregistration.k8s.io."""

from sampan.kinds.apiregistration import api_service

KINDS = (api_service.KIND,)
