"""API group apps: generated wire types, one module a version."""
