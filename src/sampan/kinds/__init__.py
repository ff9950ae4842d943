"""Row 4: pure knowledge about kinds. One module a kind with one `KIND`, listed in `all.ALL`; no asyncio, no time, no logging."""
