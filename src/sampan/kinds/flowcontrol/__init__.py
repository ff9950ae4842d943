"""Kinds of flowcontrol.apiserver.k8s.io."""

from sampan.kinds.flowcontrol import flow_schema, priority_level_configuration

KINDS = (flow_schema.KIND, priority_level_configuration.KIND)
