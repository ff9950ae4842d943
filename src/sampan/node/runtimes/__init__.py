"""How a node runs containers: `base` is the protocol, `cri` acts on a real runtime, `simulated` in memory."""
