"""Certificate signing requests: approved for kubelets, signed, cleaned up."""
