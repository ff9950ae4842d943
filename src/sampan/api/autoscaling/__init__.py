"""API group autoscaling: generated wire types, one module a version."""
