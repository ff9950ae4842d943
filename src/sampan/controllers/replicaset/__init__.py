"""ReplicaSets and ReplicationControllers: as many pods as wanted."""
