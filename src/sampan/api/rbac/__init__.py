"""API group rbac: generated wire types, one module a version."""
