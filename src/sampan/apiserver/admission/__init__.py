"""Plugins that change or refuse a write after authorization and before the registry; `all.ALL` has their order."""
