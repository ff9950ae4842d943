"""API group coordination: generated wire types, one module a version."""
