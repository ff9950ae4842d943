"""Kinds of networking.k8s.io."""

from sampan.kinds.networking import ingress, ingress_class, ip_address, network_policy, service_cidr

KINDS = (ingress.KIND, ingress_class.KIND, network_policy.KIND, ip_address.KIND, service_cidr.KIND)
