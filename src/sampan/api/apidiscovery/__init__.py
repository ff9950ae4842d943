"""API group apidiscovery: generated wire types, one module a version."""
