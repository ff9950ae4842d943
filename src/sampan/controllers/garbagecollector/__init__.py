"""Garbage collection: objects go with their owners, in the foreground, in the background, or are orphaned."""
