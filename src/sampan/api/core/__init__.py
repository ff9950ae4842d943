"""API group core: generated wire types, one module a version."""
