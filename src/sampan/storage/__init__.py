"""Row 6: volumes. `binder` joins claims to volumes, `provision` makes and reclaims them, `attach` brings them to nodes.

The controllers are listed in `sampan.storage.all`; the composition root joins that list with the other controllers'.
"""
