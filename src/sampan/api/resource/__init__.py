"""API group resource: generated wire types, one module a version."""
