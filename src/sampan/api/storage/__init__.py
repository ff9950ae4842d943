"""API group storage: generated wire types, one module a version."""
