"""Row 5: what every control loop is made of.

`informer` (local, indexed copies), `indexes` (what to look objects up by), `queue` (keys to work on), `controller`
(the reconcile loop), `writer` (applying plans, expectations), `events` (recording), `leader` (one of several).
"""
