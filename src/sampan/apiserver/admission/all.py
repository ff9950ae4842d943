"""Every admission plugin that is on by default, in upstream's order, with NodeRestriction.

Webhooks take their places before ResourceQuota: `default_chain(…, dynamic=…)`. Left out, because a server without feature
gates beyond the defaults has nothing for them: PodGroupProtection, PodGroupWorkloadExists, ClusterTrustBundleAttest,
JobValidation. Not there yet: NodeDeclaredFeatureValidator.
Source: kubernetes `pkg/kubeapiserver/options/plugins.go`, `AllOrderedPlugins`.
"""

from __future__ import annotations

from collections.abc import Sequence

from sampan.apiserver.admission.base import Admission
from sampan.apiserver.admission.certificates import (
    CertificateApproval,
    CertificateSigning,
    CertificateSubjectRestriction,
)
from sampan.apiserver.admission.chain import Chain
from sampan.apiserver.admission.claims import ResourceClaims
from sampan.apiserver.admission.default_ingress_class import DefaultIngressClass
from sampan.apiserver.admission.default_toleration_seconds import DefaultTolerationSeconds
from sampan.apiserver.admission.escalation import RbacEscalation
from sampan.apiserver.admission.limit_ranger import LimitRanger
from sampan.apiserver.admission.namespace_lifecycle import NamespaceLifecycle
from sampan.apiserver.admission.node_restriction import NodeRestriction
from sampan.apiserver.admission.pod_resize import PodResizeValidator
from sampan.apiserver.admission.pod_security import PodSecurity
from sampan.apiserver.admission.pod_topology_labels import PodTopologyLabels
from sampan.apiserver.admission.policy_plugins import (
    MutatingAdmissionPolicies,
    ValidatingAdmissionPolicies,
)
from sampan.apiserver.admission.priority import Priority
from sampan.apiserver.admission.resource_quota import ResourceQuota, StatusWriter
from sampan.apiserver.admission.runtime_class import RuntimeClass
from sampan.apiserver.admission.service_account import ServiceAccount
from sampan.apiserver.admission.storage import (
    DefaultStorageClass,
    PersistentVolumeClaimResize,
    StorageObjectInUseProtection,
)
from sampan.apiserver.admission.taint_nodes_by_condition import TaintNodesByCondition
from sampan.apiserver.admission.versions import Versions
from sampan.apiserver.auth.authorizers import Authorizers
from sampan.apiserver.watchcache import Readers
from sampan.lib.clock import Clock, Identity

ALL: tuple[type[Admission], ...] = (
    NamespaceLifecycle,
    LimitRanger,
    ServiceAccount,
    NodeRestriction,
    TaintNodesByCondition,
    PodSecurity,
    Priority,
    DefaultTolerationSeconds,
    DefaultStorageClass,
    StorageObjectInUseProtection,
    PersistentVolumeClaimResize,
    RuntimeClass,
    CertificateApproval,
    CertificateSigning,
    CertificateSubjectRestriction,
    DefaultIngressClass,
    PodTopologyLabels,
    PodResizeValidator,
    MutatingAdmissionPolicies,
    ValidatingAdmissionPolicies,
    RbacEscalation,
    ResourceClaims,
    ResourceQuota,
)


STORAGE: tuple[type[Admission], ...] = (RbacEscalation, ResourceClaims)
"""Checks that are no plugins upstream: nobody can leave them out."""
IDLE = ("ClusterTrustBundleAttest", "JobValidation", "PodGroupProtection", "PodGroupWorkloadExists")
"""Plugins that have nothing to do without feature gates beyond the defaults: known by name only."""

PLUGINS = tuple(sorted({*(one.name for one in ALL if one not in STORAGE), *IDLE, "MutatingAdmissionWebhook", "ValidatingAdmissionWebhook"}))
"""The names that flags may give."""


def default_chain(readers: Readers, authorizers: Authorizers, clock: Clock, identity: Identity, *,
                  quota_writer: StatusWriter | None = None, dynamic: Sequence[Admission] = (),
                  disabled: frozenset[str] = frozenset(), versions: Versions | None = None) -> Chain:
    """The chain. `dynamic` (webhooks) run behind all but the checks of storage and the quotas.

    `versions` tells policies what is served; None: parameters are built-in objects, and nothing is equivalent.
    """
    plugins: list[Admission] = [
        NamespaceLifecycle(readers), LimitRanger(readers), ServiceAccount(readers, identity), NodeRestriction(readers),
        TaintNodesByCondition(), PodSecurity(readers), Priority(readers), DefaultTolerationSeconds(),
        DefaultStorageClass(readers), StorageObjectInUseProtection(), PersistentVolumeClaimResize(readers), RuntimeClass(readers),
        CertificateApproval(authorizers), CertificateSigning(authorizers), CertificateSubjectRestriction(),
        DefaultIngressClass(readers), PodTopologyLabels(readers), PodResizeValidator(readers),
        MutatingAdmissionPolicies(readers, authorizers, versions),
        ValidatingAdmissionPolicies(readers, authorizers, versions), *dynamic, RbacEscalation(authorizers),
        ResourceClaims(readers, authorizers), ResourceQuota(readers, clock, quota_writer),
    ]
    return Chain([plugin for plugin in plugins if plugin.name not in disabled])


def set_quota_writer(chain: Chain, writer: StatusWriter) -> None:
    """Let quotas be charged: the registry, which writes them, is made after the chain."""
    for plugin in chain.plugins:
        if isinstance(plugin, ResourceQuota):
            plugin.writer = writer
