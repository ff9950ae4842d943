"""SPDY/3.1, as container runtimes and kubectl's port-forward still speak it: `frames` is sans-io, `session` runs it."""
