"""Kinds of the core group, one module a kind with one `KIND`, and the pure questions about each."""
