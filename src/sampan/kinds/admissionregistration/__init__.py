"""Kinds of admissionregistration.k8s.io."""

from sampan.kinds.admissionregistration import (
    mutating_admission_policy,
    policy_binding,
    validating_admission_policy,
    webhook_configuration,
)

KINDS = (
    webhook_configuration.VALIDATING,
    webhook_configuration.MUTATING,
    validating_admission_policy.KIND,
    policy_binding.VALIDATING,
    mutating_admission_policy.KIND,
    policy_binding.MUTATING,
)
