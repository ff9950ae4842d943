"""Service addresses and node ports: who has which, and claiming them for the write that needs them."""
