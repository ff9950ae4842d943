"""API servers behind ours: which groups they serve, whether they are there, and passing requests on to them.

`table` says who serves what, `conditions` and `availability` keep the condition Available, `registration` the APIServices
of custom resources, `connections` and `proxy` pass requests on, `documents` keeps what discovery and OpenAPI tell.
"""
