"""Volumes made and reclaimed: by external provisioners, by the few plugins in this process, by recycler pods."""
