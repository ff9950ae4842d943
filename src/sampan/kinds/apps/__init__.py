"""Kinds of apps."""

from sampan.kinds.apps import controller_revision, daemon_set, deployment, replica_set, stateful_set

KINDS = (deployment.KIND, replica_set.KIND, stateful_set.KIND, daemon_set.KIND, controller_revision.KIND)
