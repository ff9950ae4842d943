"""Nodes whose heartbeat stops, and taints that follow a node's conditions."""
