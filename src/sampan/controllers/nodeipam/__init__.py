"""Ranges of pod addresses for nodes."""
