"""Token Secrets that were generated for service accounts, before 1.24: marked, then deleted, when nobody uses them."""
