"""Kinds of rbac.authorization.k8s.io."""

from sampan.kinds.rbac import cluster_role, cluster_role_binding, role, role_binding

KINDS = (role.KIND, role_binding.KIND, cluster_role.KIND, cluster_role_binding.KIND)
