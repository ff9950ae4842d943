"""The kinds of the core group, as a list. (Not in the package itself: pod specs are imported by other groups.)"""

from sampan.kinds.core import (
    binding,
    component_status,
    config_map,
    endpoints,
    event,
    limit_range,
    namespace,
    node,
    persistent_volume,
    persistent_volume_claim,
    pod,
    pod_template,
    replication_controller,
    resource_quota,
    secret,
    service,
    service_account,
)

KINDS = (
    binding.KIND, component_status.KIND, config_map.KIND, endpoints.KIND, event.KIND, limit_range.KIND, namespace.KIND,
    node.KIND, persistent_volume_claim.KIND, persistent_volume.KIND, pod.KIND, pod_template.KIND, replication_controller.KIND,
    resource_quota.KIND, secret.KIND, service_account.KIND, service.KIND,
)
