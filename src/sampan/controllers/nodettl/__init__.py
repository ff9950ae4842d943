"""How long node agents may trust cached secrets and config maps, by the size of the cluster."""
