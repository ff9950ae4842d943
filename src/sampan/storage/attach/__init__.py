"""CSI volumes attached to the nodes whose pods use them, and detached when none does."""
