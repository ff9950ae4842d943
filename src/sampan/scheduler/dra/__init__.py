"""Dynamic resource allocation: devices for claims.

`devices` says what there is, `capacity` what a share of one takes, `allocate` gives it out; `extended` lets devices stand behind
extended resources.
"""
