"""OpenAPI v3 and v2 of everything that is served, made from the schema facts and from custom resources' schemas."""
