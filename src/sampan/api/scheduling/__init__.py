"""API group scheduling: generated wire types, one module a version."""
