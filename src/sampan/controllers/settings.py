"""The settings of controllers, under upstream's flag names (kube-controller-manager), with upstream's defaults."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field


class Renewals:
    """Who is told when certificates and keys of the settings have been renewed."""

    def __init__(self) -> None:
        self._told: list[Callable[[ManagerSettings], None]] = []

    def on_change(self, told: Callable[[ManagerSettings], None]) -> None:
        """Call this with the settings that hold from then on."""
        self._told.append(told)

    def renew(self, settings: ManagerSettings) -> None:
        """Tell everybody. Those who were left out for want of a key stay left out."""
        for told in self._told:
            told(settings)


@dataclass(frozen=True)
class ManagerSettings:
    """Durations in seconds. An empty key or certificate leaves out the controllers that need it."""

    controllers: tuple[str, ...] = ("*",)
    concurrent_deployment_syncs: int = 5
    concurrent_replicaset_syncs: int = 5
    concurrent_rc_syncs: int = 5
    concurrent_statefulset_syncs: int = 5
    concurrent_daemonset_syncs: int = 2
    concurrent_job_syncs: int = 5
    concurrent_cron_job_syncs: int = 5
    concurrent_endpoint_syncs: int = 5
    concurrent_service_endpoint_syncs: int = 5
    mirroring_concurrent_service_endpoint_syncs: int = 5
    mirroring_max_endpoints_per_subset: int = 1000
    max_endpoints_per_slice: int = 100
    concurrent_gc_syncs: int = 20
    concurrent_namespace_syncs: int = 10
    namespace_deletion_grace_seconds: float = 0.0
    concurrent_serviceaccount_token_syncs: int = 5
    concurrent_ttl_after_finished_syncs: int = 5
    concurrent_resource_quota_syncs: int = 5
    resource_quota_sync_period: float = 300.0
    node_monitor_period: float = 5.0
    node_monitor_grace_period: float = 50.0
    node_startup_grace_period: float = 60.0
    node_eviction_rate: float = 0.1
    secondary_node_eviction_rate: float = 0.01
    large_cluster_size_threshold: int = 50
    unhealthy_zone_threshold: float = 0.55
    terminated_pod_gc_threshold: int = 12500
    root_ca: bytes = b""
    """PEM of what the API server's certificate is signed by; given to every namespace."""
    service_account_private_key: bytes = b""
    cluster_signing_cert: bytes = b""
    cluster_signing_key: bytes = b""
    cluster_signing_duration: float = 365 * 24 * 3600.0
    allocate_node_cidrs: bool = False
    cluster_cidr: tuple[str, ...] = ()
    service_cluster_ip_range: tuple[str, ...] = ()
    node_cidr_mask_size_ipv4: int = 24
    node_cidr_mask_size_ipv6: int = 64
    concurrent_horizontal_pod_autoscaler_syncs: int = 5
    horizontal_pod_autoscaler_sync_period: float = 15.0
    horizontal_pod_autoscaler_downscale_stabilization: float = 300.0
    horizontal_pod_autoscaler_cpu_initialization_period: float = 300.0
    horizontal_pod_autoscaler_initial_readiness_delay: float = 30.0
    horizontal_pod_autoscaler_tolerance: float = field(default=0.1, metadata={"plain": True})
    pvclaimbinder_sync_period: float = 15.0
    enable_dynamic_provisioning: bool = True
    enable_hostpath_provisioner: bool = False
    disable_force_detach_on_timeout: bool = False
    concurrent_ephemeralvolume_syncs: int = 5
    concurrent_resourceclaim_syncs: int = 10
    concurrent_device_taint_eviction_syncs: int = 10
    legacy_service_account_token_clean_up_period: float = 365 * 24 * 3600.0
    renewals: Renewals = field(default_factory=Renewals, metadata={"internal": True}, compare=False)
    more: dict[str, object] = field(default_factory=dict)
    """Settings of controllers that other packages list."""
