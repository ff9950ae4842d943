"""Kinds of apiextensions.k8s.io."""

from sampan.kinds.apiextensions import custom_resource_definition

KINDS = (custom_resource_definition.KIND,)
