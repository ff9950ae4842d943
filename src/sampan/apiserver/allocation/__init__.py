"""Service addresses and node ports: who has which, and claiming them together with the write that needs them."""
