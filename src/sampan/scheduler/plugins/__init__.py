"""One module a plugin; each answers for all nodes at once. `all.ALL` has their order, which is that of the reasons."""
