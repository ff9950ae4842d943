"""Pods that nobody looks after any more: of nodes that are gone, never scheduled and terminating, too many finished."""
