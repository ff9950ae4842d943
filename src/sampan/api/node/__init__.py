"""API group node: generated wire types, one module a version."""
