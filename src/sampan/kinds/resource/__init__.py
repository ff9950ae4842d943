"""Kinds of resource.k8s.io (dynamic resource allocation)."""

from sampan.kinds.resource import device_class, resource_claim, resource_claim_template, resource_slice

KINDS = (device_class.KIND, resource_claim.KIND, resource_claim_template.KIND, resource_slice.KIND)
