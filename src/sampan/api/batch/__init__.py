"""API group batch: generated wire types, one module a version."""
