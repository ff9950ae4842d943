"""API group apiextensions: generated wire types, one module a version."""
