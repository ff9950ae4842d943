"""The agent's HTTPS port: logs, exec, attach, port-forward, stats. Who may is asked of the API server.

Source: kubelet `pkg/kubelet/server/server.go` and `auth.go`.
"""
