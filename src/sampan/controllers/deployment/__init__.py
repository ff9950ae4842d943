"""Deployments: ReplicaSets rolled out, scaled, kept as history."""
