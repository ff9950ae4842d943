"""Row 6: the API server. A request goes asgi → pipeline → handlers → admission → registry → store, and never back."""
