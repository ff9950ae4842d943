"""Functions that expressions may call: the language's own and Kubernetes' libraries, by name, as data."""
