"""API group events: generated wire types, one module a version."""
