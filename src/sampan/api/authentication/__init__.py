"""API group authentication: generated wire types, one module a version."""
