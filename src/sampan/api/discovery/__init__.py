"""API group discovery: generated wire types, one module a version."""
