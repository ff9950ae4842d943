"""API group apiregistration: generated wire types, one module a version."""
