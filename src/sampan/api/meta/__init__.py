"""API group meta: generated wire types, one module a version."""
