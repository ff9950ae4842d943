"""What pods and pod templates share: defaults and validation of `PodSpec`, split by theme.

Owns everything below `spec` of a pod or of a template. `sampan.kinds.core.pod` adds what only pods have (status,
generation, what may change); every workload kind calls the four functions below.

Source: kubernetes `pkg/apis/core/v1/defaults.go`, `pkg/apis/core/validation`, `pkg/api/pod`.
"""

from sampan.kinds.core.pod_spec.claims import validate_claim_spec
from sampan.kinds.core.pod_spec.defaults import default_claim_spec, default_pod_spec, default_pod_template
from sampan.kinds.core.pod_spec.spec import validate_pod_spec, validate_pod_template, validate_template_marks
from sampan.kinds.core.pod_spec.warn import pod_spec_warnings, pod_warnings

__all__ = [
    "default_claim_spec",
    "default_pod_spec",
    "default_pod_template",
    "pod_spec_warnings",
    "pod_warnings",
    "validate_claim_spec",
    "validate_pod_spec",
    "validate_pod_template",
    "validate_template_marks",
]
