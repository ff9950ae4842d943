"""Secrets of type kubernetes.io/service-account-token: filled, and gone with their account."""
