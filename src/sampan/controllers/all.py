"""Every controller, by upstream's name. Listed here, nowhere else; importing this list imports no controller.

Source: kubernetes `cmd/kube-controller-manager/names/controller_names.go`, `app/*.go` (service accounts).
"""

from __future__ import annotations

from typing import cast

from sampan.control.controller import Component, Context, ControllerEntry
from sampan.controllers.settings import ManagerSettings


def _deployment(context: Context, settings: ManagerSettings) -> Component:
    from sampan.controllers.deployment.controller import DeploymentController

    return DeploymentController(context, workers=settings.concurrent_deployment_syncs)


def _replicaset(context: Context, settings: ManagerSettings) -> Component:
    from sampan.controllers.replicaset.controller import ReplicaSetController

    return ReplicaSetController(context, workers=settings.concurrent_replicaset_syncs)


def _replicationcontroller(context: Context, settings: ManagerSettings) -> Component:
    from sampan.controllers.replicaset.controller import ReplicationController

    return ReplicationController(context, workers=settings.concurrent_rc_syncs)


def _endpointslice(context: Context, settings: ManagerSettings) -> Component:
    from sampan.controllers.endpointslice.controller import EndpointSliceController

    return EndpointSliceController(context, workers=settings.concurrent_service_endpoint_syncs,
                                   most=settings.max_endpoints_per_slice)


def _endpoints(context: Context, settings: ManagerSettings) -> Component:
    from sampan.controllers.endpoints.controller import EndpointsController

    return EndpointsController(context, workers=settings.concurrent_endpoint_syncs)


def _serviceaccount(context: Context, _: ManagerSettings) -> Component:
    from sampan.controllers.serviceaccount.controller import ServiceAccountController

    return ServiceAccountController(context)


def _tokens(context: Context, settings: ManagerSettings) -> Component | None:
    if not settings.service_account_private_key:
        return None
    from sampan.controllers.tokens.controller import TokensController
    from sampan.controllers.tokens.sign import signer

    made = TokensController(context, signer(settings.service_account_private_key), settings.root_ca,
                            workers=settings.concurrent_serviceaccount_token_syncs)
    settings.renewals.on_change(lambda now: made.renew(signer(now.service_account_private_key), now.root_ca))
    return made


def _root_ca(context: Context, settings: ManagerSettings) -> Component | None:
    if not settings.root_ca:
        return None
    from sampan.controllers.rootca.controller import RootCaPublisher

    made = RootCaPublisher(context, settings.root_ca.decode())
    settings.renewals.on_change(lambda now: made.renew(now.root_ca.decode()))
    return made


def _namespace(context: Context, settings: ManagerSettings) -> Component:
    from sampan.controllers.namespace.controller import NamespaceController

    return NamespaceController(context, workers=settings.concurrent_namespace_syncs,
                               grace_seconds=settings.namespace_deletion_grace_seconds)


def _garbage_collector(context: Context, settings: ManagerSettings) -> Component:
    from sampan.controllers.garbagecollector.controller import GarbageCollector

    return GarbageCollector(context, workers=settings.concurrent_gc_syncs)


def _job(context: Context, settings: ManagerSettings) -> Component:
    from sampan.controllers.job.controller import JobController

    return JobController(context, workers=settings.concurrent_job_syncs)


def _cronjob(context: Context, settings: ManagerSettings) -> Component:
    from sampan.controllers.cronjob.controller import CronJobController

    return CronJobController(context, workers=settings.concurrent_cron_job_syncs)


def _daemonset(context: Context, settings: ManagerSettings) -> Component:
    from sampan.controllers.daemonset.controller import DaemonSetController

    return DaemonSetController(context, workers=settings.concurrent_daemonset_syncs)


def _node_lifecycle(context: Context, settings: ManagerSettings) -> Component:
    from sampan.controllers.nodelifecycle.controller import NodeLifecycleController

    return NodeLifecycleController(context, settings)


def _taint_eviction(context: Context, _: ManagerSettings) -> Component:
    from sampan.controllers.tainteviction.controller import TaintEvictionController

    return TaintEvictionController(context)


def _pod_gc(context: Context, settings: ManagerSettings) -> Component:
    from sampan.controllers.podgc.controller import PodGarbageCollector

    return PodGarbageCollector(context, threshold=settings.terminated_pod_gc_threshold)


def _ttl_after_finished(context: Context, settings: ManagerSettings) -> Component:
    from sampan.controllers.ttlafterfinished.controller import TtlAfterFinishedController

    return TtlAfterFinishedController(context, workers=settings.concurrent_ttl_after_finished_syncs)


def _cluster_role_aggregation(context: Context, _: ManagerSettings) -> Component:
    from sampan.controllers.clusterroleaggregation.controller import ClusterRoleAggregationController

    return ClusterRoleAggregationController(context)


def _node_ipam(context: Context, settings: ManagerSettings) -> Component | None:
    if not settings.allocate_node_cidrs or not settings.cluster_cidr:
        return None
    from sampan.controllers.nodeipam.controller import NodeIpamController

    return NodeIpamController(context, settings.cluster_cidr, reserved=settings.service_cluster_ip_range,
                              masks=(settings.node_cidr_mask_size_ipv4, settings.node_cidr_mask_size_ipv6))


def _node_ttl(context: Context, _: ManagerSettings) -> Component:
    from sampan.controllers.nodettl.controller import NodeTtlController

    return NodeTtlController(context)


def _mirroring(context: Context, settings: ManagerSettings) -> Component:
    from sampan.controllers.endpointslicemirroring.controller import EndpointSliceMirroringController

    return EndpointSliceMirroringController(context, workers=settings.mirroring_concurrent_service_endpoint_syncs,
                                            most=settings.mirroring_max_endpoints_per_subset)


def _statefulset(context: Context, settings: ManagerSettings) -> Component:
    from sampan.controllers.statefulset.controller import StatefulSetController

    return StatefulSetController(context, workers=settings.concurrent_statefulset_syncs)


def _disruption(context: Context, _: ManagerSettings) -> Component:
    from sampan.controllers.disruption.controller import DisruptionController

    return DisruptionController(context)


def _resource_quota(context: Context, settings: ManagerSettings) -> Component:
    from sampan.controllers.resourcequota.controller import ResourceQuotaController

    return ResourceQuotaController(context, workers=settings.concurrent_resource_quota_syncs,
                                   resync_seconds=settings.resource_quota_sync_period)


def _csr_approving(context: Context, _: ManagerSettings) -> Component:
    from sampan.controllers.certificates.controller import ApprovingController

    return ApprovingController(context)


def _csr_signing(context: Context, settings: ManagerSettings) -> Component | None:
    if not settings.cluster_signing_cert or not settings.cluster_signing_key:
        return None
    from datetime import timedelta

    from sampan.controllers.certificates.controller import SigningController
    from sampan.lib.pki import Pair

    made = SigningController(context, Pair(settings.cluster_signing_cert, settings.cluster_signing_key),
                             timedelta(seconds=settings.cluster_signing_duration))
    settings.renewals.on_change(lambda now: made.renew(Pair(now.cluster_signing_cert, now.cluster_signing_key)))
    return made


def _csr_cleaner(context: Context, _: ManagerSettings) -> Component:
    from sampan.controllers.certificates.controller import CleanerController

    return CleanerController(context)


def _claim_protection(context: Context, _: ManagerSettings) -> Component:
    from sampan.controllers.volumeprotection.controller import ClaimProtectionController

    return ClaimProtectionController(context)


def _volume_protection(context: Context, _: ManagerSettings) -> Component:
    from sampan.controllers.volumeprotection.controller import VolumeProtectionController

    return VolumeProtectionController(context)


def _attributes_class_protection(context: Context, _: ManagerSettings) -> Component:
    from sampan.controllers.volumeprotection.controller import AttributesClassProtectionController

    return AttributesClassProtectionController(context)


def _ephemeral_volume(context: Context, settings: ManagerSettings) -> Component:
    from sampan.controllers.ephemeralvolume.controller import EphemeralVolumeController

    return EphemeralVolumeController(context, workers=settings.concurrent_ephemeralvolume_syncs)


def _expand(context: Context, _: ManagerSettings) -> Component:
    from sampan.controllers.expand.controller import ExpandController

    return ExpandController(context)


def _resource_claim(context: Context, settings: ManagerSettings) -> Component:
    from sampan.controllers.resourceclaim.controller import ResourceClaimController

    return ResourceClaimController(context, workers=settings.concurrent_resourceclaim_syncs)


def _device_taint_eviction(context: Context, settings: ManagerSettings) -> Component:
    from sampan.controllers.devicetainteviction.controller import DeviceTaintEvictionController

    return DeviceTaintEvictionController(context, workers=settings.concurrent_device_taint_eviction_syncs)


def _service_cidr(context: Context, _: ManagerSettings) -> Component:
    from sampan.controllers.servicecidr.controller import ServiceCidrController

    return ServiceCidrController(context)


def _policy_status(context: Context, _: ManagerSettings) -> Component:
    from sampan.controllers.policystatus.controller import PolicyStatusController

    return PolicyStatusController(context)


def _legacy_tokens(context: Context, settings: ManagerSettings) -> Component:
    from sampan.controllers.legacytokens.controller import LegacyTokenCleaner

    return LegacyTokenCleaner(context, keep_seconds=settings.legacy_service_account_token_clean_up_period)


def _token_cleaner(context: Context, _: ManagerSettings) -> Component:
    from sampan.controllers.bootstraptokens.controller import TokenCleaner

    return TokenCleaner(context)


def _bootstrap_signer(context: Context, _: ManagerSettings) -> Component:
    from sampan.controllers.bootstraptokens.controller import BootstrapSigner

    return BootstrapSigner(context)


def _service_lb(context: Context, settings: ManagerSettings) -> Component | None:
    provider = settings.more.get("balancers")
    if provider is None:
        return None
    from sampan.controllers.service.controller import BalancerProvider, ServiceController

    return ServiceController(context, cast("BalancerProvider", provider))


ALL: tuple[ControllerEntry, ...] = (
    ControllerEntry("serviceaccount-token-controller", "", _tokens),  # accounts need it: it has none
    ControllerEntry("serviceaccount-controller", "service-account-controller", _serviceaccount),
    ControllerEntry("root-ca-certificate-publisher-controller", "root-ca-cert-publisher", _root_ca),
    ControllerEntry("namespace-controller", "namespace-controller", _namespace),
    ControllerEntry("garbage-collector-controller", "generic-garbage-collector", _garbage_collector),
    ControllerEntry("endpoints-controller", "endpoint-controller", _endpoints),
    ControllerEntry("endpointslice-controller", "endpointslice-controller", _endpointslice),
    ControllerEntry("endpointslice-mirroring-controller", "endpointslicemirroring-controller", _mirroring),
    ControllerEntry("deployment-controller", "deployment-controller", _deployment),
    ControllerEntry("replicaset-controller", "replicaset-controller", _replicaset),
    ControllerEntry("replicationcontroller-controller", "replication-controller", _replicationcontroller),
    ControllerEntry("daemonset-controller", "daemon-set-controller", _daemonset),
    ControllerEntry("statefulset-controller", "statefulset-controller", _statefulset),
    ControllerEntry("job-controller", "job-controller", _job),
    ControllerEntry("cronjob-controller", "cronjob-controller", _cronjob),
    ControllerEntry("ttl-after-finished-controller", "ttl-after-finished-controller", _ttl_after_finished),
    ControllerEntry("ttl-controller", "ttl-controller", _node_ttl),
    ControllerEntry("node-ipam-controller", "node-controller", _node_ipam),
    ControllerEntry("node-lifecycle-controller", "node-controller", _node_lifecycle),
    ControllerEntry("taint-eviction-controller", "node-controller", _taint_eviction),
    ControllerEntry("pod-garbage-collector-controller", "pod-garbage-collector", _pod_gc),
    ControllerEntry("clusterrole-aggregation-controller", "clusterrole-aggregation-controller", _cluster_role_aggregation),
    ControllerEntry("disruption-controller", "disruption-controller", _disruption),
    ControllerEntry("resourcequota-controller", "resourcequota-controller", _resource_quota),
    ControllerEntry("certificatesigningrequest-approving-controller", "certificate-controller", _csr_approving),
    ControllerEntry("certificatesigningrequest-signing-controller", "certificate-controller", _csr_signing),
    ControllerEntry("certificatesigningrequest-cleaner-controller", "certificate-controller", _csr_cleaner),
    ControllerEntry("persistentvolumeclaim-protection-controller", "pvc-protection-controller", _claim_protection),
    ControllerEntry("persistentvolume-protection-controller", "pv-protection-controller", _volume_protection),
    ControllerEntry("volumeattributesclass-protection-controller", "volumeattributesclass-protection-controller",
                    _attributes_class_protection),
    ControllerEntry("ephemeral-volume-controller", "ephemeral-volume-controller", _ephemeral_volume),
    ControllerEntry("persistentvolume-expander-controller", "expand-controller", _expand),
    ControllerEntry("resourceclaim-controller", "resource-claim-controller", _resource_claim),
    ControllerEntry("device-taint-eviction-controller", "device-taint-eviction-controller", _device_taint_eviction),
    ControllerEntry("legacy-serviceaccount-token-cleaner-controller", "legacy-service-account-token-cleaner", _legacy_tokens),
    ControllerEntry("token-cleaner-controller", "token-cleaner", _token_cleaner, by_default=False),
    ControllerEntry("bootstrap-signer-controller", "bootstrap-signer", _bootstrap_signer, by_default=False),
    ControllerEntry("service-cidr-controller", "service-cidrs-controller", _service_cidr),
    ControllerEntry("validatingadmissionpolicy-status-controller", "validatingadmissionpolicy-status-controller", _policy_status),
    ControllerEntry("service-lb-controller", "service-controller", _service_lb),
)

# the names that --controllers took before 1.28, which it still takes
ALIASES: dict[str, str] = {
    "serviceaccount-token": "serviceaccount-token-controller", "endpoint": "endpoints-controller",
    "endpointslice": "endpointslice-controller", "endpointslicemirroring": "endpointslice-mirroring-controller",
    "replicationcontroller": "replicationcontroller-controller", "podgc": "pod-garbage-collector-controller",
    "resourcequota": "resourcequota-controller", "namespace": "namespace-controller",
    "serviceaccount": "serviceaccount-controller", "garbagecollector": "garbage-collector-controller",
    "daemonset": "daemonset-controller", "job": "job-controller", "deployment": "deployment-controller",
    "replicaset": "replicaset-controller", "horizontalpodautoscaling": "horizontal-pod-autoscaler-controller",
    "disruption": "disruption-controller", "statefulset": "statefulset-controller", "cronjob": "cronjob-controller",
    "csrsigning": "certificatesigningrequest-signing-controller",
    "csrapproving": "certificatesigningrequest-approving-controller",
    "csrcleaner": "certificatesigningrequest-cleaner-controller", "ttl": "ttl-controller",
    "bootstrapsigner": "bootstrap-signer-controller", "tokencleaner": "token-cleaner-controller",
    "nodeipam": "node-ipam-controller", "nodelifecycle": "node-lifecycle-controller",
    "persistentvolume-binder": "persistentvolume-binder-controller",
    "attachdetach": "persistentvolume-attach-detach-controller",
    "persistentvolume-expander": "persistentvolume-expander-controller",
    "clusterrole-aggregation": "clusterrole-aggregation-controller",
    "pvc-protection": "persistentvolumeclaim-protection-controller",
    "pv-protection": "persistentvolume-protection-controller", "ttl-after-finished": "ttl-after-finished-controller",
    "root-ca-cert-publisher": "root-ca-certificate-publisher-controller",
    "ephemeral-volume": "ephemeral-volume-controller",
    "storage-version-gc": "storageversion-garbage-collector-controller",
    "resource-claim-controller": "resourceclaim-controller",
    "legacy-service-account-token-cleaner": "legacy-serviceaccount-token-cleaner-controller",
}
