"""Encryption at rest: what is configured (`config`), how values are sealed (`ciphers`), and the store around the store (`store`)."""
