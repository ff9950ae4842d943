"""Row 1: the error tree, clock and randomness protocols, PKI, IP arithmetic, tables of text. No asyncio here."""
