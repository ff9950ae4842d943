"""API group networking: generated wire types, one module a version."""
