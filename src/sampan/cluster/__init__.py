"""Row 7, the composition root: configuration, keys, wiring, processes. The only place that names implementations."""
