"""Kinds of policy."""

from sampan.kinds.policy import pod_disruption_budget

KINDS = (pod_disruption_budget.KIND,)
