"""Autoscalers: what has more or fewer replicas as its use goes up and down. `all` lists them."""
