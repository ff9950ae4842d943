"""Names and order of fields in upstream's unversioned types: facts for `sampan.kinds.core.internal`.

Only types whose fields are not simply those of the wire in its order. `Name=wire`: the wire has another name.
Source: kubernetes `pkg/apis/core/types.go`.
"""

from __future__ import annotations

FIELDS: dict[str, str] = {
    "AWSElasticBlockStoreVolumeSource": "VolumeID FSType Partition ReadOnly",
    "AzureDiskVolumeSource": "DiskName DataDiskURI=diskURI CachingMode FSType ReadOnly Kind",
    "CSIPersistentVolumeSource":
        "Driver VolumeHandle ReadOnly FSType VolumeAttributes ControllerPublishSecretRef NodeStageSecretRef "
        "NodePublishSecretRef ControllerExpandSecretRef NodeExpandSecretRef",
    "CSIVolumeSource": "Driver ReadOnly FSType VolumeAttributes NodePublishSecretRef",
    "CinderPersistentVolumeSource": "VolumeID FSType ReadOnly SecretRef",
    "CinderVolumeSource": "VolumeID FSType ReadOnly SecretRef",
    "ClusterTrustBundleProjection": "Name SignerName LabelSelector Optional Path",
    "Container":
        "Name Image Command Args WorkingDir Ports EnvFrom Env Resources ResizePolicy RestartPolicy RestartPolicyRules "
        "VolumeMounts VolumeDevices LivenessProbe ReadinessProbe StartupProbe Lifecycle TerminationMessagePath "
        "TerminationMessagePolicy ImagePullPolicy SecurityContext Stdin StdinOnce TTY",
    "DeviceAttribute":
        "IntValue=int BoolValue=bool StringValue=string VersionValue=version IntValues=ints BoolValues=bools "
        "StringValues=strings VersionValues=versions",
    "DeviceSelector": "CEL",
    "EphemeralContainer":
        "Name Image Command Args WorkingDir Ports EnvFrom Env Resources ResizePolicy RestartPolicy RestartPolicyRules "
        "VolumeMounts VolumeDevices LivenessProbe ReadinessProbe StartupProbe Lifecycle TerminationMessagePath "
        "TerminationMessagePolicy ImagePullPolicy SecurityContext Stdin StdinOnce TTY TargetContainerName",
    "FCVolumeSource": "TargetWWNs Lun FSType ReadOnly WWIDs",
    "FlexPersistentVolumeSource": "Driver FSType SecretRef ReadOnly Options",
    "FlexVolumeSource": "Driver FSType SecretRef ReadOnly Options",
    "GCEPersistentDiskVolumeSource": "PDName FSType Partition ReadOnly",
    "GlusterfsPersistentVolumeSource": "EndpointsName=endpoints Path ReadOnly EndpointsNamespace",
    "GlusterfsVolumeSource": "EndpointsName=endpoints Path ReadOnly",
    "HTTPGetAction": "Path Port Host Scheme HTTPHeaders",
    "HostAlias": "IP Hostnames",
    "ISCSIPersistentVolumeSource":
        "TargetPortal IQN Lun ISCSIInterface FSType ReadOnly Portals DiscoveryCHAPAuth=chapAuthDiscovery "
        "SessionCHAPAuth=chapAuthSession SecretRef InitiatorName",
    "ISCSIVolumeSource":
        "TargetPortal IQN Lun ISCSIInterface FSType ReadOnly Portals DiscoveryCHAPAuth=chapAuthDiscovery "
        "SessionCHAPAuth=chapAuthSession SecretRef InitiatorName",
    "LifecycleHandler": "Exec HTTPGet TCPSocket Sleep",
    "LocalVolumeSource": "Path FSType",
    "ObjectFieldSelector": "APIVersion FieldPath",
    "ObjectReference": "Kind Namespace Name UID APIVersion ResourceVersion FieldPath",
    "ParentReference": "Group Resource Namespace Name",
    "PersistentVolumeClaimSpec":
        "AccessModes Selector Resources VolumeName StorageClassName VolumeMode DataSource DataSourceRef "
        "VolumeAttributesClassName",
    "PersistentVolumeClaimTemplate": "*=metadata Spec",
    "PersistentVolumeSource":
        "GCEPersistentDisk AWSElasticBlockStore HostPath Glusterfs NFS RBD Quobyte ISCSI FlexVolume Cinder CephFS FC "
        "Flocker AzureFile VsphereVolume AzureDisk PhotonPersistentDisk PortworxVolume ScaleIO Local StorageOS CSI",
    "PersistentVolumeSpec":
        "Capacity GCEPersistentDisk AWSElasticBlockStore HostPath Glusterfs NFS RBD Quobyte ISCSI FlexVolume Cinder "
        "CephFS FC Flocker AzureFile VsphereVolume AzureDisk PhotonPersistentDisk PortworxVolume ScaleIO Local "
        "StorageOS CSI AccessModes ClaimRef PersistentVolumeReclaimPolicy StorageClassName MountOptions VolumeMode "
        "NodeAffinity VolumeAttributesClassName",
    "PhotonPersistentDiskVolumeSource": "PdID FSType",
    "PodSecurityContext":
        "SELinuxOptions WindowsOptions RunAsUser RunAsGroup RunAsNonRoot SupplementalGroups SupplementalGroupsPolicy "
        "FSGroup FSGroupChangePolicy Sysctls SeccompProfile AppArmorProfile SELinuxChangePolicy",
    "PodSpec":
        "Volumes InitContainers Containers EphemeralContainers RestartPolicy TerminationGracePeriodSeconds "
        "ActiveDeadlineSeconds DNSPolicy NodeSelector ServiceAccountName AutomountServiceAccountToken NodeName "
        "SecurityContext ImagePullSecrets Hostname Subdomain SetHostnameAsFQDN Affinity SchedulerName Tolerations "
        "HostAliases PriorityClassName Priority PreemptionPolicy DNSConfig ReadinessGates RuntimeClassName Overhead "
        "EnableServiceLinks TopologySpreadConstraints OS SchedulingGates ResourceClaims Resources HostnameOverride "
        "SchedulingGroup",
    "PortworxVolumeSource": "VolumeID FSType ReadOnly",
    "Probe":
        "Exec HTTPGet TCPSocket GRPC InitialDelaySeconds TimeoutSeconds PeriodSeconds SuccessThreshold FailureThreshold "
        "TerminationGracePeriodSeconds",
    "RBDPersistentVolumeSource":
        "CephMonitors=monitors RBDImage=image FSType RBDPool=pool RadosUser=user Keyring SecretRef ReadOnly",
    "RBDVolumeSource": "CephMonitors=monitors RBDImage=image FSType RBDPool=pool RadosUser=user Keyring SecretRef ReadOnly",
    "RoleRef": "APIGroup Kind Name",
    "ScaleIOPersistentVolumeSource":
        "Gateway System SecretRef SSLEnabled ProtectionDomain StoragePool StorageMode VolumeName FSType ReadOnly",
    "ScaleIOVolumeSource":
        "Gateway System SecretRef SSLEnabled ProtectionDomain StoragePool StorageMode VolumeName FSType ReadOnly",
    "SecurityContext":
        "Capabilities Privileged SELinuxOptions WindowsOptions RunAsUser RunAsGroup RunAsNonRoot ReadOnlyRootFilesystem "
        "AllowPrivilegeEscalation ProcMount SeccompProfile AppArmorProfile",
    "StorageOSPersistentVolumeSource": "VolumeName VolumeNamespace FSType ReadOnly SecretRef",
    "StorageOSVolumeSource": "VolumeName VolumeNamespace FSType ReadOnly SecretRef",
    "TypedLocalObjectReference": "APIGroup Kind Name",
    "TypedObjectReference": "APIGroup Kind Name Namespace",
    "Volume":
        "Name HostPath EmptyDir GCEPersistentDisk AWSElasticBlockStore GitRepo Secret NFS ISCSI Glusterfs "
        "PersistentVolumeClaim RBD Quobyte FlexVolume Cinder CephFS Flocker DownwardAPI FC AzureFile ConfigMap "
        "VsphereVolume AzureDisk PhotonPersistentDisk Projected PortworxVolume ScaleIO StorageOS CSI Ephemeral Image",
    "VolumeMount": "Name ReadOnly RecursiveReadOnly MountPath SubPath MountPropagation SubPathExpr",
    "VsphereVirtualDiskVolumeSource": "VolumePath FSType StoragePolicyName StoragePolicyID",
    "WindowsSecurityContextOptions": "GMSACredentialSpecName GMSACredentialSpec RunAsUserName HostProcess",
}

HOST_FIELDS = ("HostNetwork", "HostPID", "HostIPC", "ShareProcessNamespace", "HostUsers")
"""Of a pod on the wire; of its security context inside."""
