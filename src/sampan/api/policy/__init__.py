"""API group policy: generated wire types, one module a version."""
