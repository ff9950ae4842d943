"""The node agent: what a kubelet does. `sync` decides, `runtimes` act, `agent` watches and reports, `server` is its port."""
