"""Cluster DNS: `zone` answers questions (pure), `server` speaks the protocol and forwards what is not ours."""
