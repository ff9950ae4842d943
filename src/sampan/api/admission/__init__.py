"""API group admission: generated wire types, one module a version."""
