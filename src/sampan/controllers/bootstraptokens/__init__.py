"""Bootstrap tokens: deleted when they expire, and signatures by them on `kube-public/cluster-info`. Off by default."""
