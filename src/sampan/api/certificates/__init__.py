"""API group certificates: generated wire types, one module a version."""
