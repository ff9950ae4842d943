"""Row 2: what asyncio lacks for us: owned tasks, a clock that can be virtual, broadcast, back-off."""
