"""Who is asking (authenticators) and what they may do (authorizers)."""
