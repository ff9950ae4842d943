"""API group authorization: generated wire types, one module a version."""
