"""API group admissionregistration: generated wire types, one module a version."""
