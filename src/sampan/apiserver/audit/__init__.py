"""The audit log: which requests are told how fully (`policy`), in what form (`events`), and where to (`log`)."""
