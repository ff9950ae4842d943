"""Which volume a claim gets, and what becomes of it when the claim goes."""
