"""API group flowcontrol: generated wire types, one module a version."""
