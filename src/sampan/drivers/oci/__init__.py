"""Container images made with the standard library: `layer`, `image`, `recipe` (a small Dockerfile), `busybox`, `pause`."""
