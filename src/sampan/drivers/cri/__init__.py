"""The driver of container runtimes that speak the CRI: `client` calls, `streaming` execs, `events` watches."""
