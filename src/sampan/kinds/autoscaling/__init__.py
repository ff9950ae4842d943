"""Kinds of autoscaling: one HorizontalPodAutoscaler, stored as v2; `v1` converts at the edge."""

from sampan.kinds.autoscaling import horizontal_pod_autoscaler

KINDS = (horizontal_pod_autoscaler.KIND, horizontal_pod_autoscaler.KIND_V1)
