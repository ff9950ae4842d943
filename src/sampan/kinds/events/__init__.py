"""events.k8s.io: one Event, stored as the core group's; `event` converts between the two forms."""

from sampan.kinds.events import event

KINDS = (event.KIND,)
