"""Sampan is Kubernetes, whole, in Python. Start at `docs/architecture.md`; the rows of packages are listed there."""

__version__ = "0.1.0"
