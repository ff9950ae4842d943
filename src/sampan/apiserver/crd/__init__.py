"""Custom resources: from a definition to a resource that is served like any other.

`node` compiles a schema, `pruning`, `defaults`, `validation` and `lists` hold objects to it, `jsonpath` reads fields by
path, `serving` makes the `Served` of each version, `names` decides which names a definition gets, `manager` does it all
while the server runs.
"""
