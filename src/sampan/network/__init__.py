"""The node's network: Services (`proxy`), names (`dns`), pods' interfaces (`cni`)."""
