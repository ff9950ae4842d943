"""The usage that a ResourceQuota shows."""
