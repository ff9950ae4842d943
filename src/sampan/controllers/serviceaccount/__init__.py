"""The ServiceAccount `default` of every namespace."""
