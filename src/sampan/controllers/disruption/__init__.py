"""Disruption budgets: how many pods may go, and disruptions that did not happen."""
