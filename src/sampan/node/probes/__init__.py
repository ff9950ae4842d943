"""Probes: `state` counts (pure), `check` asks once over HTTP, TCP, gRPC or exec, `manager` keeps one loop a probe."""
