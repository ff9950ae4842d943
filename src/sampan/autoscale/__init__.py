"""autoscale: see docs/architecture.md."""
