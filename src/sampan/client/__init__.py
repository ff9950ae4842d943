"""Row 4: talking to an API server. `base` is the contract, `inprocess` calls an ASGI app, `remote` speaks HTTPS."""
